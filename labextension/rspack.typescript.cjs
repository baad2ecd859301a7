// How TypeScript becomes JavaScript in both builds; `tsc` only checks types.
module.exports = {
  test: /\.ts$/,
  loader: 'builtin:swc-loader',
  options: { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' } },
  type: 'javascript/auto',
};
