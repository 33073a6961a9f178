// Checks boards against the types of @grafana/schema:
//
//     node types.mjs FOLDER BOARD.json...
//
// FOLDER has node_modules with what package.json pins (make boards-types installs
// it). Each board must satisfy Dashboard, and the options and custom fields of each
// panel those of its kind, which Dashboard leaves open.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { spawnSync } from 'node:child_process';

const [folder, ...files] = process.argv.slice(2);

// kinds are the types of a panel's options and, where it has any, custom fields.
const kinds = {
  bargauge: ['BarGauge', 'Options'],
  'state-timeline': ['StateTimeline', 'Options', 'StateTimelineField'],
  stat: ['Stat', 'Options'],
  table: ['Table', 'Options', 'TableFieldOptions'],
  timeseries: ['TimeSeries', 'Options', 'GraphFieldConfig'],
  trend: ['Trend', 'Options', 'GraphFieldConfig'],
};

const lines = [
  "import type { AnnotationQuery, Dashboard, GraphFieldConfig, TableFieldOptions } from '@grafana/schema';",
  // JSON has the values of enums and not their names.
  // Where the type is less than Grafana has: what a data source adds to an annotation
  // is open as in a panel, and state timelines connect null values, too.
  "type Board = Omit<Json<Dashboard>, 'annotations'> & { annotations?: { list?: (Omit<Json<AnnotationQuery>, 'target'> & { target?: { refId: string } & Record<string, unknown> })[] } };",
  'type StateTimelineField = StateTimeline.FieldConfig & { spanNulls?: boolean | number };',
  'type Json<T> = T extends string ? `${T}` : T extends (infer U)[] ? Json<U>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;',
];
for (const [kind, [name]] of Object.entries(kinds)) {
  const path = `${kind.replace('-', '')}/panelcfg/x/${name}PanelCfg_types.gen`;
  lines.push(`import type * as ${name} from '@grafana/schema/dist/esm/raw/composable/${path}';`);
}
const where = []; // what each checked line is about
const check = (about, value, type) => {
  where[lines.length + 1] = about;
  lines.push(`(${JSON.stringify(value)}) satisfies ${type === 'Board' ? type : `Json<${type}>`};`);
};
for (const file of files) {
  const board = JSON.parse(readFileSync(file, 'utf8'));
  check(basename(file), board, 'Board');
  for (const panel of board.panels.flatMap((p) => [p, ...(p.panels ?? [])])) {
    if (panel.type === 'row') continue;
    const about = `${basename(file)}, panel ${panel.title}`;
    const [name, options, custom] = kinds[panel.type] ?? [];
    if (!name) {
      console.error(`${about}: the kind ${panel.type} is not in the table of types.mjs`);
      process.exit(1);
    }
    check(`${about}, options`, panel.options, `Partial<${name}.${options}>`);
    if (custom)       check(`${about}, custom`, panel.fieldConfig.defaults.custom, `Partial<${custom}>`);
  }
}
writeFileSync(join(folder, 'check.ts'), lines.join('\n') + '\nexport {};\n');

const tsc = spawnSync(
  join(folder, 'node_modules', '.bin', 'tsc'),
  ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'nodenext', '--moduleResolution', 'nodenext', '--pretty', 'false', 'check.ts'],
  { cwd: folder, encoding: 'utf8' },
);
if (tsc.error) throw tsc.error;
process.stderr.write(tsc.stdout.replace(/^check\.ts\((\d+),\d+\): /gm, (_, line) => `${where[line] ?? `line ${line}`}: `) + tsc.stderr);
if (tsc.status === 0) {
  const { version } = JSON.parse(readFileSync(join(folder, 'node_modules/@grafana/schema/package.json'), 'utf8'));
  console.log(`${where.filter(Boolean).length} parts of ${files.length} boards satisfy @grafana/schema ${version}`);
}
process.exit(tsc.status ?? 1);
