// The pages in a real browser with real sound: what a user and an operator see when all goes well, and when it does not.
import assert from 'node:assert/strict'
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { after, afterEach, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import type { Page } from 'playwright-core'
import { loudness, startStage, type Stage } from './stage.ts'

const pictures = fileURLToPath(new URL('../../docs/pictures/', import.meta.url))
const example = fileURLToPath(new URL('../example/talk.ts', import.meta.url))
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const phone = { width: 390, height: 844 }
const admin = { role: 'admin' }
const SOUND = 0.02
const SILENCE = 0.005
let stage: Stage

before(async () => {
  await mkdir(pictures, { recursive: true })
  stage = await startStage()
}, { timeout: 180_000 })
afterEach(() => stage.closePages())
after(() => stage.stop())

/** With PICTURES=1 what is seen is kept: the README shows it. */
async function picture (page: Page, name: string): Promise<void> {
  if (process.env.PICTURES) await page.screenshot({ path: `${pictures}${name}.png` })
}

/** No finding of axe's that is serious or worse, and nothing wider than the screen. */
async function sound (page: Page): Promise<void> {
  await page.evaluate(axe)
  const found = await page.evaluate(async () => {
    const { violations } = await (window as any).axe.run(document, { resultTypes: ['violations'] })
    return violations.filter(({ impact }: any) => impact === 'serious' || impact === 'critical').map(({ id, nodes }: any) => `${id}: ${nodes.map((node: any) => node.html).join(' ').slice(0, 300)}`)
  })
  assert.deepEqual(found, [])
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, 'nothing is wider than the screen')
}

async function talking (page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Start talking' }).click()
  await page.getByRole('status').filter({ hasText: 'Listening' }).waitFor()
}

async function hearsItself (page: Page): Promise<void> {
  assert.ok(await loudness(page, 15_000, SOUND) >= SOUND, 'the agent is heard')
}

async function end (page: Page): Promise<void> {
  await page.getByRole('button', { name: 'End', exact: true }).click()
  await page.getByRole('button', { name: 'Start talking' }).waitFor()
}

const active = async (user: string) => (await (await stage.call(user, 'GET', '/api/v1/voice-sessions/active')).json() as { sessions: Array<{ room_name: string, agent_type: string }> }).sessions

test('a click, and the agent is heard; muted it hears nothing; what is typed is answered; the end is the end', async () => {
  const page = await stage.open('/talk', 'alice')
  await sound(page)
  await picture(page, 'talk-start')
  await page.getByRole('radio', { name: /Workout/ }).check()
  await talking(page)
  await hearsItself(page)
  assert.deepEqual((await active('alice')).map((one) => one.agent_type), ['workout'])

  await page.getByRole('button', { name: 'Mute' }).click()
  await page.getByRole('button', { name: 'Unmute' }).waitFor()
  await loudness(page, 600) // what was on its way
  assert.ok(await loudness(page, 2500) < SILENCE, 'muted is silent')
  await page.getByRole('button', { name: 'Unmute' }).click()
  await hearsItself(page)

  await page.getByLabel('Type a message').fill('How far should I run today?')
  await page.keyboard.press('Enter')
  await page.locator('.mine', { hasText: 'How far should I run today?' }).waitFor()
  await page.locator('.theirs', { hasText: 'How far should I run today?' }).waitFor()
  await sound(page)
  await picture(page, 'talk')
  await end(page)
  assert.deepEqual(await active('alice'), [])
})

test('from the click to the first sound, and what the page weighs', async () => {
  const page = await stage.open('/talk', 'kim')
  const start = page.getByRole('button', { name: 'Start talking' })
  await start.waitFor()
  const [bytes, interactive] = await page.evaluate(() => {
    const loaded = performance.getEntriesByType('resource') as PerformanceResourceTiming[]
    return [loaded.reduce((sum, { encodedBodySize, initiatorType }) => sum + (initiatorType === 'fetch' ? 0 : encodedBodySize), 0), performance.now()] as const
  })
  assert.ok(bytes > 50_000 && bytes < 250_000, `${bytes} bytes are loaded`)
  const times: number[] = []
  for (let n = 0; n < Number(process.env.TALK_STARTS ?? 3); n++) {
    const began = performance.now()
    await start.click()
    await hearsItself(page)
    times.push(performance.now() - began)
    await page.getByRole('status').filter({ hasText: 'Listening' }).waitFor()
    await end(page)
  }
  times.sort((a, b) => a - b)
  console.log(`First load ${Math.round(bytes / 1000)} KB, ready after ${(interactive / 1000).toFixed(2)} s; click to first sound: median ${(times[times.length >> 1]! / 1000).toFixed(2)} s, worst ${(times.at(-1)! / 1000).toFixed(2)} s of ${times.length}`)
})

test('a reload goes on with the same session', async () => {
  const page = await stage.open('/talk', 'bert')
  await talking(page)
  const before = await active('bert')
  await page.reload()
  await page.getByRole('status').filter({ hasText: 'Listening' }).waitFor()
  await hearsItself(page)
  assert.deepEqual((await active('bert')).map((one) => one.room_name), before.map((one) => one.room_name))
  await end(page)
})

test('the same conversation in a second tab: the first one says so', async () => {
  const page = await stage.open('/talk', 'carl')
  await talking(page)
  const kept = await page.evaluate(() => sessionStorage.getItem('livekit-sessions.conversation'))
  const second = await page.context().newPage()
  await second.addInitScript((value) => sessionStorage.setItem('livekit-sessions.conversation', value!), kept)
  await second.goto(`${stage.address}/talk#token=${stage.token('carl')}`)
  await second.getByRole('status').filter({ hasText: 'Listening' }).waitFor()
  await page.getByRole('alert').filter({ hasText: 'You continued somewhere else' }).waitFor()
  await second.close()
  await page.getByRole('button', { name: 'Go on with it' }).click()
  await page.getByRole('status').filter({ hasText: 'Listening' }).waitFor()
  await end(page)
})

test('a line that breaks is told, and the conversation goes on when it is back', async () => {
  const page = await stage.open('/talk', 'dora')
  await talking(page)
  await stage.line.fault('refuse')
  await page.getByRole('status').filter({ hasText: 'Connection lost' }).waitFor()
  await stage.line.fault()
  await page.getByRole('status').filter({ hasText: 'Listening' }).waitFor()
  await hearsItself(page)
  await end(page)
})

test('ended elsewhere, a full house and a microphone that is refused are told, each with a way out', async () => {
  const page = await stage.open('/talk', 'emil')
  await talking(page)
  const [{ room_name: room } = { room_name: '' }] = await active('emil')
  assert.equal((await stage.call('emil', 'DELETE', `/api/v1/voice-sessions/${room}`)).status, 200)
  await page.getByRole('alert').filter({ hasText: 'The conversation was ended' }).waitFor()
  await page.getByRole('button', { name: 'Close' }).click()

  for (let n = 0; n < 2; n++) await stage.call('emil', 'POST', '/api/v1/voice-sessions/start', {})
  await page.getByRole('button', { name: 'Start talking' }).click()
  await page.getByRole('alert').filter({ hasText: 'Too many conversations' }).waitFor()
  await sound(page)

  const silent = await stage.open('/talk', 'fred', { deaf: true, viewport: phone })
  await talking(silent)
  await silent.getByRole('alert').filter({ hasText: 'The microphone is blocked' }).waitFor()
  await silent.getByLabel('Type a message').fill('I cannot speak here')
  await silent.keyboard.press('Enter')
  await silent.locator('.theirs', { hasText: 'I cannot speak here' }).waitFor()
  await sound(silent)
  await picture(silent, 'talk-refused-phone')
  await end(silent)
})

test('on a phone, in the dark, in German, by keyboard alone', async () => {
  const page = await stage.open('/talk', 'gina', { viewport: phone, locale: 'de-DE', colorScheme: 'dark' })
  const start = page.getByRole('button', { name: 'Gespräch beginnen' })
  await start.waitFor()
  await sound(page)
  await picture(page, 'talk-start-phone')
  for (let n = 0; n < 12 && !await start.evaluate((button) => button === document.activeElement); n++) await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.getByRole('status').filter({ hasText: 'Hört zu' }).waitFor()
  await hearsItself(page)
  await page.getByLabel('Nachricht schreiben').focus()
  await page.keyboard.type('Guten Tag')
  await page.keyboard.press('Enter')
  await page.locator('.theirs', { hasText: 'Guten Tag' }).waitFor()
  await sound(page)
  await picture(page, 'talk-phone')
  await page.getByRole('button', { name: 'Beenden' }).press('Enter')
  await start.waitFor()
})

test('the console shows who talks, tells it as it happens, ends a session, and keeps the history', async () => {
  const desk = await stage.open('/console', 'root', { claims: admin })
  await desk.getByText('Live updates').waitFor()
  const talk = await stage.open('/talk', 'hanna')
  await talking(talk)
  const row = desk.getByRole('row').filter({ hasText: 'hanna' })
  await row.getByText('there', { exact: true }).waitFor()
  await sound(desk)
  await picture(desk, 'console')

  await row.getByRole('button', { name: 'Timeline' }).click()
  const timeline = desk.getByRole('dialog')
  await timeline.getByRole('img', { name: /session\.started.*agent\.joined/ }).waitFor()
  await sound(desk)
  await picture(desk, 'console-timeline')
  await timeline.getByRole('button', { name: 'End session' }).click()
  await desk.getByRole('button', { name: 'Yes, end it' }).click()
  await row.waitFor({ state: 'detached' })
  await talk.getByRole('alert').filter({ hasText: 'The conversation was ended' }).waitFor()

  await desk.getByRole('link', { name: 'History' }).click()
  await desk.getByLabel('User id').fill('hanna')
  await desk.getByRole('row').filter({ hasText: 'hanna' }).filter({ hasText: 'admin' }).waitFor()
  await sound(desk)
  await picture(desk, 'console-history')

  await desk.getByRole('link', { name: 'Categories' }).click()
  const form = desk.getByRole('form', { name: 'New category' })
  await form.getByLabel('Name').fill('Sleep')
  await form.getByLabel('Description').fill('When nights are short.')
  await form.getByRole('button', { name: 'Save' }).click()
  const made = desk.getByRole('form', { name: 'Sleep' })
  await made.getByLabel('Prompt').fill('You help people to rest.')
  await made.getByRole('button', { name: 'Save' }).click()
  await made.getByText('Saved').waitFor()
  const { categories } = await (await stage.call('root', 'GET', '/api/v1/counselor-categories?all=true', undefined, admin)).json() as { categories: Array<Record<string, unknown>> }
  assert.deepEqual(categories.map(({ name, system_prompt: prompt, enabled }) => [name, prompt, enabled]), [['Sleep', 'You help people to rest.', true]])
  await sound(desk)
  await picture(desk, 'console-categories')
  await desk.setViewportSize(phone)
  await desk.getByRole('link', { name: 'Live' }).click()
  await sound(desk)
  await picture(desk, 'console-phone')
})

test('the console is for administrators', async () => {
  const page = await stage.open('/console', 'mallory')
  await page.getByRole('alert').filter({ hasText: 'for administrators' }).waitFor()
})

test('an app\'s own front end in ten lines', async () => {
  const built = await build({ configFile: false, logLevel: 'silent', build: { write: false, lib: { entry: example, name: 'example', formats: ['iife'] } } }) as unknown as Array<{ output: Array<{ code: string }> }>
  const page = await stage.open('/talk', 'nobody')
  await page.evaluate(built[0]!.output[0]!.code.replace(/^(var|const) example\s*=/, 'window.example ='))
  await page.evaluate(({ url, token }) => (window as any).example.talk(url, token), { url: `${stage.address}/api/v1/token`, token: stage.token('own-app') })
  await hearsItself(page)
  assert.deepEqual((await active('own-app')).map((one) => one.agent_type), ['diet'])
  await page.close()
})

test('a media server that is gone is told', async () => {
  const page = await stage.open('/talk', 'ivan')
  await talking(page)
  await stage.livekit.stop()
  await page.getByRole('status').filter({ hasText: 'Connection lost' }).waitFor()
  const other = await stage.open('/talk', 'judy')
  await other.getByRole('button', { name: 'Start talking' }).click()
  await other.getByRole('alert').filter({ hasText: 'could not be connected' }).waitFor()
})

test('the policy of the pages allows nothing inline, and nothing that they do breaks it', async () => {
  for (const path of ['/talk', '/console']) {
    const response = await fetch(stage.address + path)
    const policy = response.headers.get('content-security-policy')!
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/)
    assert.doesNotMatch(policy, /unsafe|\*/)
  }
  assert.deepEqual(stage.complaints, [])
})
