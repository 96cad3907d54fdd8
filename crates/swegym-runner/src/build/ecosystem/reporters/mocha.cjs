'use strict';
// mocha's reporter. Hooks that fail are told by their names; the tests behind them are missing.

const { Results } = require('./results.cjs');

const titles = (test) => (typeof test.titlePath === 'function' ? test.titlePath() : [test.fullTitle()]);
const file = (test) => test.file || (test.parent ? file(test.parent) : '');

module.exports = function Reporter(runner) {
  let results;
  const told = () => (results ??= new Results(runner.total));
  runner.once('start', told);
  runner.on('pass', (test) => told().tell(file(test), titles(test), 'passed', '', test.duration));
  runner.on('pending', (test) => told().tell(file(test), titles(test), 'skipped'));
  runner.on('fail', (test, error) => told().tell(file(test), titles(test), 'failed', error?.stack ?? error, test.duration));
  runner.once('end', () => told().end());
};
