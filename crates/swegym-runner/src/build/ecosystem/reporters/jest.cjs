'use strict';
// jest's reporter. A file that cannot be loaded is told as one test of its name.

const { Results } = require('./results.cjs');

const STATUS = { passed: 'passed', failed: 'failed' };

module.exports = class Reporter {
  constructor() {
    this.results = new Results();
  }

  onTestResult(_test, found) {
    for (const one of found.testResults) {
      const why = (one.failureMessages ?? []).join('\n');
      this.results.tell(found.testFilePath, [...one.ancestorTitles, one.title], STATUS[one.status] ?? 'skipped', why, one.duration);
    }
    if (found.testExecError || (found.testResults.length === 0 && found.failureMessage)) {
      this.results.tell(found.testFilePath, [], 'failed', found.failureMessage ?? found.testExecError?.message);
    }
  }

  onRunComplete() {
    this.results.end();
  }
};
