// Checks the boards in a Grafana that has data of runs, such as the demo's:
//
//     node grafana.mjs FOLDER OUT
//
// FOLDER has node_modules with what package.json pins (make boards-test installs
// it), OUT gets a screenshot of each board. GRAFANA_URL is where Grafana is;
// GRAFANA_TOKEN, where it wants one; RUN is the run to look at, else the newest of
// the plan demo, and for the board of shadow traffic the newest with a shadow test;
// CHROME is a Chromium or Chrome, else one of PATH. A board fails when
// its page, a query or a panel has an error, or when a panel is empty.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [folder, out] = process.argv.slice(2);
const puppeteer = createRequire(join(resolve(folder), 'x.js'))('puppeteer-core');
const grafana = process.env.GRAFANA_URL.replace(/\/+$/, '');
const headers = process.env.GRAFANA_TOKEN ? { Authorization: `Bearer ${process.env.GRAFANA_TOKEN}` } : {};
const settle = 1500; // ms without an answer, after which a page is done

async function get(path) {
  const answer = await fetch(grafana + path, { headers });
  if (!answer.ok) throw new Error(`${path}: Grafana answers ${answer.status}`);
  return answer.json();
}

// influx asks the InfluxDB of Grafana's data source, and gives rows by column.
async function influx(source, query) {
  const db = source.jsonData.dbName ?? source.database;
  const { results } = await get(`/api/datasources/proxy/uid/${source.uid}/query?${new URLSearchParams({ db, epoch: 'ms', q: query })}`);
  if (results[0].error) throw new Error(`${query}: ${results[0].error}`);
  const { columns = [], values = [] } = results[0].series?.[0] ?? {};
  return values.map((row) => Object.fromEntries(row.map((value, i) => [columns[i], value])));
}

// shadowed chooses the run whose shadow tests are looked at, false where there is
// none: RUN, else the newest.
async function shadowed(source, runs) {
  const ids = new Set((await influx(source, `SHOW TAG VALUES FROM "resilience_windows" WITH KEY = "run" WHERE "source" =~ /^shadow\\//`)).map((row) => row.value));
  const run = runs.find((r) => ids.has(r.run) && r.run === process.env.RUN) ?? runs.find((r) => ids.has(r.run));
  return run && { 'var-run': run.run, from: run.started - 1000, to: run.time + 2000 };
}

// view chooses a run, one to compare with, and the time of both.
async function view() {
  const source = (await get('/api/datasources')).find((s) => s.type === 'influxdb' && s.jsonData.httpMode === 'GET');
  if (!source) throw new Error('Grafana has no InfluxDB as data source: see dashboards/provisioning');
  const runs = await influx(source, 'SELECT "run", "plan", "started" FROM "resilience_verdicts" ORDER BY time DESC');
  const run = runs.find((r) => (process.env.RUN ? r.run === process.env.RUN : r.plan === 'demo'));
  if (!run) throw new Error('no such run was judged: run the demo with INFLUX_URL first');
  const other = runs.find((r) => r.plan === run.plan && r.run !== run.run) ?? run;
  return {
    run: { 'var-run': run.run, 'var-compare': other.run, from: run.started - 1000, to: run.time + 2000 },
    all: { from: runs.at(-1).time - 60_000, to: runs[0].time + 60_000 },
    shadow: (await shadowed(source, runs)) ?? false,
    // The board of canaries has nothing to show where none ran.
    canary: (await influx(source, `SELECT count("count") FROM "resilience_windows" WHERE "test" = 'canary' AND "phase" = ''`)).length > 0 && { from: 'now-24h', to: 'now' },
  };
}

function chrome() {
  if (process.env.CHROME) return process.env.CHROME;
  for (const name of ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']) {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    } catch { /* the next */ }
  }
  throw new Error('there is no Chromium: set CHROME');
}

// quiet waits until no request is under way, and none was for a moment.
async function quiet(page) {
  await page.waitForNetworkIdle({ idleTime: settle, timeout: 60_000 });
}

// watch notes what goes wrong on a page.
function watch(page, problems) {
  page.on('pageerror', (error) => problems.push(`page error: ${error}`));
  page.on('response', async (answer) => {
    const url = answer.url().replace(grafana, '');
    if (!url.startsWith('/api/')) return;
    if (answer.status() >= 400) problems.push(`${answer.status()} ${url.slice(0, 200)}`);
    const body = await answer.json().catch(() => ({}));
    for (const [id, result] of Object.entries(body?.results ?? {})) {
      if (result?.error) problems.push(`query ${id}: ${result.error}`);
    }
  });
}

// openRows opens the closed rows, the last first, because each moves those below.
const openRows = () => {
  const rows = document.querySelectorAll('.dashboard-row--collapsed [data-testid^="data-testid dashboard-row-title"], button[aria-label="Expand row"]');
  [...rows].reverse().forEach((row) => row.click());
  return rows.length;
};

// rightly is what panels say of which a demo has none.
const rightly = [
  'nothing', 'no objectives in the plan', 'no incident', 'nothing is undecided', 'no answer gave what a later request needed',
  'no query of the plan, and no metric of a script; shadow tests have a board of their own',
  'no assertion of a script, and no query of the plan about a share',
];

// look counts panels, and finds those with an error or nothing to show.
const look = (rightly) => {
  const panels = [...document.querySelectorAll('[data-testid^="data-testid Panel header"]')];
  const name = (panel) => panel.dataset.testid.replace('data-testid Panel header ', '');
  return {
    panels: panels.length,
    errors: panels.filter((p) => p.querySelector('[data-testid="data-testid Panel status error"], [aria-label="Panel status"]')).map(name),
    empty: panels.filter((p) => {
      const lines = p.innerText.split('\n').map((line) => line.trim()).filter((line) => line && line !== name(p));
      const message = p.querySelector('[data-testid="data-testid Panel data error message"]');
      return (message || lines.includes('No data') || lines.join() === '–') && !rightly.includes(lines.join());
    }).map(name),
  };
};

async function checkBoard(browser, board, query) {
  const problems = [];
  const page = await browser.newPage();
  await page.setExtraHTTPHeaders(headers);
  await page.setViewport({ width: 1600, height: 5200 }); // panels that are not in view are not asked for
  watch(page, problems);
  await page.goto(`${grafana}/d/${board.uid}/?kiosk&${new URLSearchParams(query)}`, { waitUntil: 'domcontentloaded' });
  await page.waitForSelector('[data-testid^="data-testid Panel header"]', { timeout: 60_000 });
  await quiet(page);
  await page.screenshot({ path: join(out, `${board.uid}.png`), clip: { x: 0, y: 0, width: 1600, height: 2400 } });
  const rows = await page.evaluate(openRows);
  await quiet(page);
  const seen = await page.evaluate(look, rightly);
  problems.push(...seen.errors.map((p) => `panel ${p}: error`), ...seen.empty.map((p) => `panel ${p}: no data`));
  console.log(`${problems.length ? 'FAIL' : 'ok  '}  ${board.title}: ${seen.panels} panels, ${rows} closed rows opened`);
  problems.forEach((p) => console.log(`        ${p}`));
  await page.close();
  return problems.length;
}

mkdirSync(out, { recursive: true });
const { run, all, canary, shadow } = await view();
const times = { 'resilience-history': all, 'resilience-canary': canary, 'resilience-shadow': shadow };
const boards = (await get('/api/search?type=dash-db&tag=resilience')).filter((board) => times[board.uid] !== false);
if (boards.length < 3) throw new Error(`Grafana has ${boards.length} boards with the tag resilience, of 3 or more`);
const browser = await puppeteer.launch({ executablePath: chrome(), headless: true, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
let problems = 0;
try {
  for (const board of boards) problems += await checkBoard(browser, board, times[board.uid] ?? run);
} finally {
  await browser.close();
}
process.exit(problems ? 1 : 0);
