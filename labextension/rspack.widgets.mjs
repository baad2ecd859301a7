// Builds each view as one self-contained ES module for anywidget: no imports are left in it.
import { rspack } from '@rspack/core';
import typescript from './rspack.typescript.cjs';

const compiler = rspack({
  mode: 'production',
  entry: { scrub: './src/adapters/anywidget.ts' },
  context: import.meta.dirname,
  output: {
    path: new URL('../ironflow_lab/widgets/static', import.meta.url).pathname,
    filename: '[name].js',
    library: { type: 'module' },
    module: true,
    chunkFormat: 'module',
  },
  experiments: { outputModule: true },
  resolve: { extensions: ['.ts', '.js'] },
  module: { rules: [typescript] },
  performance: { hints: false },
});

compiler.run((problem, stats) => {
  const failed = problem !== null || stats.hasErrors();
  console.log(problem ?? stats.toString({ preset: 'errors-warnings', assets: true }));
  compiler.close(() => process.exit(failed ? 1 : 0));
});
