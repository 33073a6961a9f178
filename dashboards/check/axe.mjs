// Checks a page with axe, by the rules of WCAG 2.2 A and AA and its best practices,
// in light and dark, on a screen and on a telephone, without and with JavaScript:
//
//     node axe.mjs FOLDER URL OUT
//
// FOLDER has node_modules with what package.json pins, OUT gets screenshots. CHROME is
// a Chromium or Chrome, else one of PATH. The page fails with a violation, with what
// the browser complains of, or when it is wider than the screen.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [folder, url, out] = process.argv.slice(2);
const require = createRequire(join(resolve(folder), 'x.js'));
const puppeteer = require('puppeteer-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const find = 'command -v chromium || command -v chromium-browser || command -v google-chrome';
const executablePath = process.env.CHROME || execFileSync('sh', ['-c', find], { encoding: 'utf8' }).trim();
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
let wrong = 0;
const complain = (text) => { wrong++; console.log(text); };

async function check(browser, scheme, width) {
  const name = `${scheme}-${width}`;
  const page = await browser.newPage();
  page.on('console', (m) => complain(`${name}: the browser says: ${m.text()}`));
  page.on('pageerror', (e) => complain(`${name}: ${e}`));
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.setJavaScriptEnabled(false);
  await page.goto(url);
  await page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
  await page.setJavaScriptEnabled(true);
  await page.setBypassCSP(true); // for axe
  await page.reload();
  await page.evaluate(axe);
  const found = await page.evaluate((values) => {
    for (const d of document.querySelectorAll('details')) d.open = true;
    return axe.run(document, { runOnly: values });
  }, rules);
  for (const v of [...found.violations, ...found.incomplete]) {
    complain(`${name}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 150)).join(' ')}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (wide > 0) complain(`${name}: it is ${wide} px wider than the screen`);
  console.log(`${name}: ${found.passes.length} rules passed`);
  if (found.passes.length < 20) complain(`${name}: that is hardly the page`);
  await page.close();
}

mkdirSync(out, { recursive: true });
const userDataDir = mkdtempSync(join(tmpdir(), 'axe-'));
const browser = await puppeteer.launch({ executablePath, userDataDir, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] });
try {
  for (const scheme of ['light', 'dark']) for (const width of [1280, 360]) await check(browser, scheme, width);
} finally {
  await browser.close();
  rmSync(userDataDir, { recursive: true, force: true });
}
process.exit(wrong ? 1 : 0);
