'use strict';
// What a runner tells, twice: line by line where everybody prints (TAP, with whole names),
// and as JUnit XML in a file where only this writes.

const fs = require('node:fs');
const path = require('node:path');

const PLACE = process.env.SWEGYM_RESULTS;
// Characters of a failure that are told.
const LONGEST = 16 << 10;

const plain = (text) => String(text ?? '').replace(/\s+/g, ' ').trim();
const escaped = (text) =>
  String(text ?? '')
    .replace(/[^\t\n\r\x20-\uD7FF\uE000-\uFFFD]/g, '?')
    .replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')
    .replace(/\n/g, '&#10;').replace(/\r/g, '&#13;').replace(/\t/g, '&#9;');

class Results {
  constructor(announced) {
    this.count = 0;
    this.cases = [];
    this.isAnnounced = announced !== undefined;
    if (this.isAnnounced) this.print(`1..${announced}\n`);
  }

  print(text) {
    // Not through the streams, which tests may replace.
    let bytes = Buffer.from(text);
    while (bytes.length > 0) {
      try {
        bytes = bytes.subarray(fs.writeSync(1, bytes));
      } catch (error) {
        if (error.code !== 'EAGAIN') throw error;
      }
    }
  }

  // A status is `passed`, `failed` or `skipped`.
  tell(file, titles, status, why, milliseconds) {
    this.count += 1;
    const place = plain(file ? path.relative(process.cwd(), file) : '');
    const title = titles.map(plain).join(' > ');
    const whole = [place, title].filter((part) => part !== '').join(' > ') || '(no name)';
    const said = plain(why).slice(0, LONGEST);
    this.print(`${status === 'failed' ? 'not ok' : 'ok'} ${this.count} ${whole}${status === 'skipped' ? ' # SKIP' : ''}\n`);
    if (status === 'failed') {
      for (const line of String(why ?? '').slice(0, LONGEST).split('\n')) this.print(`#   ${line}\n`);
    }
    const inner = { passed: '', skipped: '<skipped/>', failed: `<failure message="${escaped(said)}"/>` }[status];
    const time = Number.isFinite(milliseconds) ? ` time="${(milliseconds / 1000).toFixed(3)}"` : '';
    this.cases.push(`<testcase classname="${escaped(place)}" name="${escaped(title)}"${time}>${inner}</testcase>`);
  }

  end() {
    if (!this.isAnnounced) this.print(`1..${this.count}\n`);
    if (!PLACE) return;
    const cases = this.cases.join('\n');
    fs.writeFileSync(PLACE, `<?xml version="1.0" encoding="utf-8"?>\n<testsuites><testsuite name="swegym">\n${cases}\n</testsuite></testsuites>\n`);
  }
}

module.exports = { Results };
