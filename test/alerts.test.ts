// Alerts: each has its test for Prometheus, its page for whoever is woken by it, and metrics that exist.
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { find } from '../dev/find.ts'
import { run } from '../dev/observe/promtool.ts'
import { appFor, databaseFor, environment, livekitFor } from './helper.ts'

const folder = new URL('../deploy/prometheus/', import.meta.url)
const runbooks = new URL('../docs/runbooks/', import.meta.url)
const read = async (name: string) => parse(await readFile(new URL(name, folder), 'utf8'))

interface Rule { alert: string, expr: string, for: string, labels: { severity: string }, annotations: { summary: string, runbook_url: string } }
const alerts = (await read('alerts.rules.yml')).groups.flatMap(({ rules }: { rules: Rule[] }) => rules) as Rule[]
const names = [...new Set(alerts.map(({ alert }) => alert))].sort()
const tests = (await read('alerts.test.yml')).tests.flatMap((one: { alert_rule_test: unknown[] }) => one.alert_rule_test) as Array<{ alertname: string, exp_alerts: unknown[] }>
const promtool = await find('promtool')
if (!promtool) console.log('# promtool is not installed: rules and metrics are not put to Prometheus itself')

t.test('each alert has a severity, a summary, and a page that says what users notice, how to tell, what to do, and how to know that it is over', async (t) => {
  const wanted = ['What users notice', 'How to tell', 'What to do', 'How to know it is over']
  for (const { alert, labels, annotations } of alerts) {
    t.match(labels.severity, /^(page|ticket)$/, alert)
    t.ok(annotations.summary, alert)
    t.equal(annotations.runbook_url, `docs/runbooks/${alert}.md`)
  }
  for (const name of names) {
    const page = await readFile(new URL(`${name}.md`, runbooks), 'utf8')
    t.same(page.match(/^## .*$/gm)?.map((line) => line.slice(3)), wanted, name)
    t.ok(page.startsWith(`# ${name}\n`), name)
    for (const [, link] of page.matchAll(/\]\((\w+)\.md\)/g)) t.ok(names.includes(link!), `${name} leads to ${link}`)
  }
  t.same((await readdir(runbooks)).map((file) => file.replace('.md', '')).sort(), names, 'and there is no page of an alert that is gone')
})

t.test('each alert is shown firing and not firing', async (t) => {
  const fires = new Set(tests.filter(({ exp_alerts: expected }) => expected.length > 0).map(({ alertname }) => alertname))
  t.same([...fires].sort(), names)
  // Of two series of which one fires, the other is the quiet one.
  const quiet = new Set(tests.filter(({ exp_alerts: expected }) => expected.length === 0).map(({ alertname }) => alertname))
  t.same(names.filter((name) => !quiet.has(name)), ['DiskFilling'])
  if (promtool) t.match(await run(promtool, ['test', 'rules', 'alerts.test.yml'], { cwd: fileURLToPath(folder) }), { code: 0 })
})

t.test('rules and metrics are what Prometheus takes, and each metric that a rule asks for is there', async (t) => {
  const livekit = await livekitFor(t)
  const app = await appFor(t, environment(livekit, await databaseFor(t), { LOG_LEVEL: 'silent' }))
  await app.as('alice').start()
  const { body } = await app.inject('/metrics')
  if (promtool) {
    t.match(await run(promtool, ['check', 'metrics'], { input: body }), { code: 0, printed: '' })
    t.match(await run(promtool, ['check', 'config', 'prometheus.yml'], { cwd: fileURLToPath(folder) }), { code: 0 })
  }
  const elsewhere = /^(up$|sessions:|agents_|probe_|session_probe_|node_)/ // Prometheus' own, our recording rules, and what others measure
  const there = new Set([...body.matchAll(/^(?:# TYPE )?(\w+)[{ ]/gm)].map(([, name]) => name))
  const rules = [...alerts, ...(await read('service-levels.rules.yml')).groups.flatMap((group: { rules: Rule[] }) => group.rules) as Rule[]]
  const asked = new Set(rules.flatMap(({ expr }) => [...expr.replace(/#.*$/gm, '').matchAll(/\b([a-z]\w*(?::\w+)*)(?=[{[)]| [<>=])/g)].map(([, name]) => name!)))
  asked.delete('instance')
  t.ok(asked.size > 10)
  t.same([...asked].filter((name) => !elsewhere.test(name) && !there.has(name)), [])
})
