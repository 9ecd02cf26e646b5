// The pages in a real browser with real sound: what a user and an operator see when all goes well, and when it does not.
import assert from 'node:assert/strict'
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { after, afterEach, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import type { Page } from 'playwright-core'
import { startTestWorker } from '../../dev/livekit/test-worker.ts'
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
  await says(page, 'Listening')
}

async function hearsItself (page: Page): Promise<void> {
  assert.ok(await loudness(page, 15_000, SOUND) >= SOUND, 'the agent is heard')
}

/** The bars of the visualiser rise with the agent's voice. */
async function seesIt (page: Page): Promise<void> {
  await page.waitForFunction(() => [...document.querySelectorAll<HTMLElement>('.bars > *')].some(({ style }) => parseFloat(style.height) > 40))
}

async function end (page: Page): Promise<void> {
  await page.getByRole('button', { name: 'End', exact: true }).click()
  await page.getByRole('button', { name: 'Start talking' }).waitFor()
}

const says = (page: Page, words: string) => page.getByRole('status').filter({ hasText: words }).waitFor()
const active = async (user: string, at?: string) => (await (await stage.call(user, 'GET', '/api/v1/voice-sessions/active', undefined, { at })).json() as { sessions: Array<{ room_name: string, agent_type: string }> }).sessions

test('a click, and the agent is heard; muted it hears nothing; what is typed is answered; the end is the end', async () => {
  const page = await stage.open('/talk', 'alice')
  await sound(page)
  await picture(page, 'talk-start')
  await page.getByRole('radio', { name: /Workout/ }).check()
  await talking(page)
  await hearsItself(page)
  await seesIt(page)
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
    await stage.agentIsWarm()
    const began = performance.now()
    await start.click()
    await hearsItself(page)
    times.push(performance.now() - began)
    await says(page, 'Listening')
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
  await says(page, 'Listening')
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
  await says(second, 'Listening')
  await page.getByRole('alert').filter({ hasText: 'You continued somewhere else' }).waitFor()
  await second.close()
  await page.getByRole('button', { name: 'Go on with it' }).click()
  await says(page, 'Listening')
  await end(page)
})

test('a line that breaks is told, and the conversation goes on when it is back', async () => {
  const page = await stage.open('/talk', 'dora')
  await talking(page)
  await stage.line.fault('refuse')
  await says(page, 'Connection lost')
  await stage.line.fault()
  await says(page, 'Listening')
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

  const silent = await stage.open('/talk', 'fred', { microphone: 'refused', viewport: phone })
  await talking(silent)
  await silent.getByRole('alert').filter({ hasText: 'The microphone is blocked' }).waitFor()
  await picture(silent, 'talk-refused-phone')
  await silent.getByLabel('Type a message').fill('I cannot speak here')
  await silent.keyboard.press('Enter')
  await silent.locator('.theirs', { hasText: 'I cannot speak here' }).waitFor()
  await sound(silent)
  await end(silent)
})

/** A conversation with the service that has no workers. @returns its page and its room */
async function waiting (user: string, options = {}) {
  const page = await stage.open('/talk', user, { at: stage.lonely, ...options })
  await page.getByRole('button', { name: 'Start talking' }).click()
  await says(page, 'on the way')
  const [{ room_name: room } = { room_name: '' }] = await active(user, stage.lonely)
  return { page, room }
}

test('an agent that is late: another one is sent for, and the conversation begins when it comes', async () => {
  const { page, room } = await waiting('lena')
  await says(page, 'This takes longer than usual. We are sending another assistant.')
  await sound(page)
  await stage.sendAgent(room, { publish: true })
  await says(page, 'Listening')
  await hearsItself(page)
  await end(page)
})

test('an agent that does not come at all is told, and can be called again', async () => {
  const { page, room } = await waiting('mona')
  await says(page, 'No assistant could be reached.')
  await page.getByText('Call for one again, or end and come back later.').waitFor()
  await sound(page)
  await picture(page, 'talk-no-agent')
  await page.getByRole('button', { name: 'Call again' }).click()
  await says(page, 'We are sending another assistant.')
  await stage.sendAgent(room)
  await says(page, 'Listening')
  assert.deepEqual((await active('mona', stage.lonely)).map((one) => one.room_name), [room])
  await end(page)
})

test('events that are refused for a moment, as by a proxy during a restart, are followed all the same', async () => {
  const refuse = (page: Page, path: string) => page.route(path, (route) => route.fulfill({ status: 503 }), { times: 1 })
  const page = await stage.open('/talk', 'rita', { at: stage.lonely })
  await refuse(page, '**/api/v1/sessions?*')
  await refuse(page, '**/api/v1/sessions/*/events')
  await page.getByRole('button', { name: 'Start talking' }).click()
  await says(page, 'No assistant could be reached.')
  await end(page)

  const desk = await stage.open('/talk', 'root', { claims: admin })
  await refuse(desk, '**/api/v1/events')
  await desk.goto(`${stage.address}/console`)
  await desk.getByText('Live updates').waitFor()
})

test('a start whose answer was lost, tried again, is the same session', async () => {
  const page = await stage.open('/talk', 'sven')
  await page.route('**/api/v1/voice-sessions/start', async (route) => {
    await route.fetch()
    await route.abort()
  }, { times: 1 })
  await page.getByRole('button', { name: 'Start talking' }).click()
  await page.getByRole('alert').filter({ hasText: 'The service cannot be reached' }).waitFor()
  const rooms = async () => (await active('sven')).map((one) => one.room_name)
  const [first] = await rooms()
  await talking(page)
  assert.deepEqual(await rooms(), [first])
  await end(page)
  await talking(page)
  assert.notEqual((await rooms())[0], first, 'the next start is another one')
  await end(page)
})

test('what the agent does is shown, captions of both sides are written as they are spoken, and one that leaves is replaced', async () => {
  const { page, room } = await waiting('nora')
  const agent = await stage.sendAgent(room, { publish: true, attributes: { 'lk.agent.state': 'initializing' } })
  await says(page, 'on the way')
  for (const [state, words] of [['listening', 'Listening'], ['thinking', 'Thinking'], ['speaking', 'Speaking']] as const) {
    await agent.setAttributes({ 'lk.agent.state': state })
    await says(page, words)
  }
  const lines = page.getByRole('log').getByRole('listitem')
  await agent.caption({ segment: 'one', speaker: 'nora', final: false, text: 'Is rice' })
  await lines.and(page.locator('.mine')).filter({ hasText: 'Is rice' }).waitFor()
  await agent.caption({ segment: 'one', speaker: 'nora', final: true, text: 'Is rice good before a run?' })
  await agent.caption({ segment: 'two', final: true, text: 'Yes, two hours before it.' })
  await lines.and(page.locator('.theirs')).waitFor()
  assert.deepEqual(await lines.allInnerTexts(), ['You\n\nIs rice good before a run?', 'Assistant\n\nYes, two hours before it.'])
  await sound(page)
  await seesIt(page)
  await picture(page, 'talk')

  await agent.leave()
  await says(page, 'The assistant has left. Another one is on the way.')
  await stage.sendAgent(room, { identity: 'another', publish: true, attributes: { 'lk.agent.state': 'speaking' } })
  await says(page, 'Speaking')
  await hearsItself(page)
  await end(page)
})

/** What a button gives the browser to keep. */
async function saved (page: Page, button: string): Promise<{ name: string, content: string }> {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: button }).click()])
  return { name: download.suggestedFilename(), content: await readFile(await download.path(), 'utf8') }
}

test('what was said can be saved, as it was seen here, or as the service wrote it down', async () => {
  const { page, room } = await waiting('pia')
  const agent = await stage.sendAgent(room)
  assert.equal(await page.getByRole('button', { name: 'Save as text' }).count(), 0, 'nothing was said yet')
  await agent.caption({ segment: 'one', speaker: 'pia', final: true, text: 'Is 1 < 2?' })
  await agent.caption({ segment: 'two', final: true, text: 'Yes, always.' })
  await page.locator('.theirs', { hasText: 'Yes, always.' }).waitFor()
  await sound(page)
  const text = await saved(page, 'Save as text')
  assert.equal(text.name, 'conversation.txt')
  assert.match(text.content, /^\[0:\d\d\] You: Is 1 < 2\?\n\[0:\d\d\] Assistant: Yes, always\.\n$/)
  const captions = await saved(page, 'Save as captions')
  assert.equal(captions.name, 'conversation.vtt')
  assert.match(captions.content, /^WEBVTT\n\n00:00:\d\d\.\d{3} --> 00:00:\d\d\.\d{3}\n<v user>Is 1 &lt; 2\?\n\n00:00:\d\d\.\d{3} --> 00:00:\d\d\.\d{3}\n<v agent>Yes, always\.\n$/)
  await end(page)

  const { room_name: written } = await (await stage.call('pia', 'POST', '/api/v1/voice-sessions/start', { transcript: true }, { at: stage.lonely })).json() as { room_name: string }
  const { sessions } = await (await stage.call('pia', 'GET', '/api/v1/sessions?state=live', undefined, { at: stage.lonely })).json() as { sessions: Array<{ id: string, created_at: string }> }
  const at = (seconds: number) => new Date(Date.parse(sessions[0]!.created_at) + seconds * 1000).toISOString()
  await stage.write(sessions[0]!.id, [{ seq: 1, revision: 0, at: at(1), until: at(2), by: 'agent', text: 'Hello.' }, { seq: 2, revision: 0, at: at(3), until: at(4.5), by: 'user', text: 'Good morning.' }])
  await page.evaluate((room) => sessionStorage.setItem('livekit-sessions.conversation', JSON.stringify({ mode: 'voice', room_name: room, since: Date.now() })), written)
  await page.reload()
  const second = await stage.sendAgent(written)
  await says(page, 'Listening')
  await second.caption({ segment: 'one', final: true, text: 'Hello.' })
  await page.locator('.theirs', { hasText: 'Hello.' }).waitFor()
  assert.equal((await saved(page, 'Save as captions')).content, 'WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<v agent>Hello.\n\n00:00:03.000 --> 00:00:04.500\n<v user>Good morning.\n')
  assert.equal((await saved(page, 'Save as text')).content, '[00:00:01] agent: Hello.\n[00:00:03] user: Good morning.\n')
  await end(page)
})

test('a room that is recorded says so, in both languages', async () => {
  const { page, room } = await waiting('quin')
  const notice = (page: Page, words: string) => page.getByRole('status').filter({ hasText: words })
  assert.equal(await notice(page, 'This conversation is being recorded.').count(), 0)
  const recorder = await stage.record(room)
  await notice(page, 'This conversation is being recorded.').waitFor()
  await sound(page)
  await recorder.leave()
  await notice(page, 'This conversation is being recorded.').waitFor({ state: 'hidden' })
  await end(page)

  const german = await stage.open('/talk', 'rosa', { at: stage.lonely, locale: 'de-DE' })
  await german.getByRole('button', { name: 'Gespräch beginnen' }).click()
  await says(german, 'unterwegs')
  const [{ room_name: other } = { room_name: '' }] = await active('rosa', stage.lonely)
  await stage.record(other)
  await notice(german, 'Dieses Gespräch wird aufgezeichnet.').waitFor()
})

test('the video of an avatar is shown, and its agent by voice when it goes', async () => {
  const { url, apiKey, apiSecret } = stage.livekit
  const worker = await startTestWorker({ url, apiKey, apiSecret, agentName: 'avatar-agent', behaviour: { attributes: { avatar: 'ready' } } })
  await stage.call('root', 'POST', '/api/v1/counselor-categories', { name: 'Exams', description: 'When they come near.' }, { claims: admin })
  const page = await stage.open('/talk', 'olga')
  await page.getByRole('radio', { name: 'Video' }).check()
  await page.getByRole('radio', { name: /Exams/ }).check()
  await talking(page)
  const [job] = worker.jobs
  const face = await stage.sendAgent(job!.room, { identity: 'face', publish: true, attributes: { 'lk.publish_on_behalf': job!.identity } })
  await face.publishVideo('camera')
  const video = page.getByLabel('Video of the assistant')
  await video.waitFor()
  await page.waitForFunction(() => { const { videoWidth, currentTime } = document.querySelector('video')!; return videoWidth > 0 && currentTime > 0.5 })
  await hearsItself(page)
  await sound(page)
  await face.leave()
  await video.waitFor({ state: 'detached' })
  await says(page, 'Listening')
  await end(page)
  await worker.stop()
})

test('without a microphone one is told so, and types', async () => {
  const page = await stage.open('/talk', 'paul', { microphone: 'missing' })
  await talking(page)
  await page.getByRole('alert').filter({ hasText: 'No microphone found' }).waitFor()
  await page.getByLabel('Type a message').fill('I have none')
  await page.keyboard.press('Enter')
  await page.locator('.theirs', { hasText: 'I have none' }).waitFor()
  await sound(page)
  await end(page)
})

test('sound that the browser holds back comes with a click', async () => {
  const { page: before, room } = await waiting('quin', { microphone: 'refused' })
  await stage.sendAgent(room, { publish: true })
  const kept = await before.evaluate(() => sessionStorage.getItem('livekit-sessions.conversation'))
  const page = await before.context().newPage()
  // The page tells by itself: whatever Playwright asks of a page counts as a click.
  await page.addInitScript((value) => {
    sessionStorage.setItem('livekit-sessions.conversation', value!)
    new MutationObserver(() => {
      if (document.querySelector('.lk-start-audio-button')?.checkVisibility()) console.log('held back')
    }).observe(document, { subtree: true, childList: true, attributes: true })
  }, kept)
  const heldBack = page.waitForEvent('console', (message) => message.text() === 'held back')
  await page.goto(`${stage.lonely}/talk#token=${stage.token('quin')}`)
  await heldBack
  const hear = page.getByRole('button', { name: 'Turn sound on' })
  await sound(page)
  await hear.click()
  await hear.waitFor({ state: 'hidden' })
  await hearsItself(page)
  await end(page)
})

test('on a phone, in the dark, in German, by keyboard alone', async () => {
  const page = await stage.open('/talk', 'gina', { viewport: phone, locale: 'de-DE', colorScheme: 'dark' })
  const start = page.getByRole('button', { name: 'Gespräch beginnen' })
  await start.waitFor()
  await sound(page)
  await picture(page, 'talk-start-phone')
  for (let n = 0; n < 12 && !await start.evaluate((button) => button === document.activeElement); n++) await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await says(page, 'Hört zu')
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
  const { categories } = await (await stage.call('root', 'GET', '/api/v1/counselor-categories?all=true', undefined, { claims: admin })).json() as { categories: Array<Record<string, unknown>> }
  assert.deepEqual(categories.filter(({ name }) => name === 'Sleep').map(({ system_prompt: prompt, enabled }) => [prompt, enabled]), [['You help people to rest.', true]])
  await sound(desk)
  await picture(desk, 'console-categories')
  await desk.setViewportSize(phone)
  await desk.getByRole('link', { name: 'Live' }).click()
  await sound(desk)
  await picture(desk, 'console-phone')
})

test('the console says what failed, and asks to sign in again when its access has run out', async () => {
  const desk = await stage.open('/console', 'root', { claims: admin, at: stage.lonely })
  await stage.call('tina', 'POST', '/api/v1/voice-sessions/start', {}, { at: stage.lonely })
  const row = desk.getByRole('row').filter({ hasText: 'tina' })
  const alert = desk.getByRole('alert')
  const finish = async () => {
    await row.getByRole('button', { name: 'End session' }).click()
    await desk.getByRole('button', { name: 'Yes, end it' }).click()
  }
  await desk.route('**/api/v1/sessions/*', (route) => route.fulfill({ status: 500 }), { times: 1 })
  await finish()
  await alert.filter({ hasText: 'That did not work' }).waitFor()
  await sound(desk)
  await finish()
  await row.waitFor({ state: 'detached' })
  await alert.waitFor({ state: 'detached' })

  await desk.route('**/api/v1/sessions?*', (route) => route.abort(), { times: 1 })
  await desk.getByRole('link', { name: 'History' }).click()
  await alert.filter({ hasText: 'The service cannot be reached' }).waitFor()
  assert.equal(await desk.getByText('Nothing here.').count(), 0)
  await desk.getByLabel('User id').fill('tina')
  await row.waitFor()
  await alert.waitFor({ state: 'detached' })

  await desk.route('**/api/v1/overview', (route) => route.fulfill({ status: 401 }))
  await stage.call('tina', 'POST', '/api/v1/voice-sessions/start', {}, { at: stage.lonely }) // it looks again
  await alert.filter({ hasText: 'Please sign in again' }).waitFor()
  await desk.getByLabel('Access token').waitFor()
})

test('the history shows each session once, of the filter that is set, and a day to its end', async () => {
  for (let n = 0; n < 21; n++) {
    const { room_name: room } = await (await stage.call('uma', 'POST', '/api/v1/voice-sessions/start', {}, { at: stage.lonely })).json() as { room_name: string }
    assert.equal((await stage.call('uma', 'DELETE', `/api/v1/voice-sessions/${room}`, undefined, { at: stage.lonely })).status, 200)
  }
  const desk = await stage.open('/console', 'root', { claims: admin, at: stage.lonely })
  const rows = desk.getByRole('row').filter({ hasText: 'uma' })
  await desk.getByRole('link', { name: 'History' }).click()
  await desk.getByLabel('User id').fill('uma')
  await desk.waitForFunction(() => document.querySelectorAll('tbody tr').length === 20)
  await desk.getByRole('button', { name: 'Show more' }).dblclick()
  await desk.getByRole('button', { name: 'Show more' }).waitFor({ state: 'detached' })
  assert.equal(await rows.count(), 21)

  const today = await desk.evaluate(() => new Date().toLocaleDateString('sv'))
  await desk.getByLabel('From').fill(today)
  await desk.getByLabel('To', { exact: true }).fill(today)
  await desk.waitForFunction(() => document.querySelectorAll('tbody tr').length === 20)

  // The answer to the filter before comes last.
  const slow = (url: string) => url.includes('mode=voice')
  let release = () => {}
  const held = new Promise<void>((resolve) => { release = resolve })
  await desk.route('**/api/v1/sessions?*', async (route) => {
    if (slow(route.request().url())) await held
    await route.continue().catch(() => {})
  })
  const over = Promise.race((['requestfinished', 'requestfailed'] as const).map((name) => desk.waitForEvent(name as 'requestfinished', (request) => slow(request.url()))))
  const asked = desk.waitForRequest((request) => slow(request.url()))
  await desk.getByLabel('Mode').selectOption('voice')
  await asked
  await desk.getByLabel('Mode').selectOption('video')
  await desk.getByText('Nothing here.').waitFor()
  release()
  await over
  await desk.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve)) }))
  assert.equal(await rows.count(), 0)
})

test('the console is for administrators', async () => {
  const page = await stage.open('/console', 'mallory')
  await page.getByRole('alert').filter({ hasText: 'for administrators' }).waitFor()
})

test('the bar says who is signed in, and a link signs nobody else in unasked', async () => {
  const page = await stage.open('/talk', 'vera')
  const asked: string[] = []
  let links = 0
  const open = async (token: string, yes?: boolean) => {
    page.once('dialog', async (dialog) => {
      asked.push(dialog.message())
      await (yes ? dialog.accept() : dialog.dismiss())
    })
    const address = `${stage.address}/talk?link=${++links}`
    await page.goto(`${address}#token=${token}`)
    page.removeAllListeners('dialog')
    assert.equal(page.url(), address)
  }
  const is = (email: string) => page.getByRole('banner').getByText(email).waitFor()
  await is('vera@example.com')
  await open(stage.token('mallory'), false)
  await is('vera@example.com')
  await open(stage.token('walter'), true)
  await is('walter@example.com')
  assert.deepEqual(asked, ['mallory@example.com', 'walter@example.com'].map((email) => `You are signed in as vera@example.com. This link signs you in as ${email}. Go on as ${email}?`))
  await open(stage.token('walter', { email: 'w@example.com' }))
  await is('w@example.com')
  await open(stage.token('xena', { exp: 1 }))
  await is('w@example.com')
  await page.evaluate((token) => sessionStorage.setItem('livekit-sessions.token', token), stage.token('walter', { exp: 1 }))
  await open(stage.token('xena'))
  await is('xena@example.com')
  assert.equal(asked.length, 2, 'not for a new token of one\'s own, one that has run out, and one in its place')
  await sound(page)
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

test('a media server that is gone is told, and when it is back one can begin anew', async () => {
  const page = await stage.open('/talk', 'ivan')
  await talking(page)
  await stage.livekit.kill()
  await says(page, 'Connection lost')
  const other = await stage.open('/talk', 'judy')
  await other.getByRole('button', { name: 'Start talking' }).click()
  await other.getByRole('alert').filter({ hasText: 'could not be connected' }).waitFor()

  await stage.livekit.restart()
  await page.getByRole('alert').filter({ hasText: 'The conversation has ended' }).waitFor()
  await talking(page)
  await hearsItself(page)
  await end(page)
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
