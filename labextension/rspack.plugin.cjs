// What JupyterLab's builder needs besides its own settings: TypeScript, compiled on the way.
module.exports = {
  resolve: { extensions: ['.ts', '.js'] },
  module: { rules: [require('./rspack.typescript.cjs')] },
};
