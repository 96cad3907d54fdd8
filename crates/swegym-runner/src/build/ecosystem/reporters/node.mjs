// The reporter of node's own runner. Blocks are told only where they fail by themselves; a
// file that cannot be loaded is told as one test of its name.

import path from 'node:path';
import results from './results.cjs';

export default async function* report(events) {
  const told = new results.Results();
  const around = [];
  for await (const { type, data } of events) {
    if (type === 'test:start') {
      around.length = data.nesting;
      around.push(data.name);
      continue;
    }
    if (type === 'test:stdout' || type === 'test:stderr') {
      // What tests print is no line of ours.
      told.print(data.message.replace(/^(?=.)/gm, '# '));
      continue;
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const titles = [...around.slice(0, data.nesting), data.name];
    const error = data.details?.error;
    const isFile = data.nesting === 0 && path.resolve(data.name) === data.file;
    const isBlock = data.details?.type === 'suite';
    if (isBlock && (type === 'test:pass' || error?.failureType === 'subtestsFailed')) continue;
    // A file without a failure of its own stands for the tests in it.
    if (isFile && type === 'test:pass') continue;
    const isUndecided = data.skip !== undefined || data.todo !== undefined;
    const status = isUndecided ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed';
    const why = error?.cause?.stack ?? error?.cause ?? error?.stack ?? error?.message;
    told.tell(data.file, isFile ? [] : titles, status, why, data.details?.duration_ms);
  }
  told.end();
}
