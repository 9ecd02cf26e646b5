// The user's silence: what is counted, and what is not.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSilenceWatch } from '../src/silence.ts'

function watchFor (ask: number, end: number, isThere = () => true) {
  const told: string[] = []
  const watch = createSilenceWatch({ ask, end, isThere, onAsk: () => told.push('ask'), onEnd: () => told.push('end') })
  return { watch, told }
}

test('asks once, then ends; the agent\'s own words do not count', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { watch, told } = watchFor(10, 20)
  t.mock.timers.tick(60_000)
  assert.deepEqual(told, [], 'the agent has not begun')
  watch.agent(false)
  t.mock.timers.tick(9999)
  assert.deepEqual(told, [])
  t.mock.timers.tick(1)
  assert.deepEqual(told, ['ask'])
  watch.agent(true)
  t.mock.timers.tick(60_000)
  watch.agent(false)
  t.mock.timers.tick(19_999)
  assert.deepEqual(told, ['ask'])
  t.mock.timers.tick(1)
  assert.deepEqual(told, ['ask', 'end'])
})

test('begins anew when the user speaks, types or comes back, and counts nothing while nobody is there', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let there = true
  const { watch, told } = watchFor(10, 20, () => there)
  watch.agent(false)
  t.mock.timers.tick(10_000)
  watch.user(true)
  t.mock.timers.tick(60_000)
  watch.user(false)
  t.mock.timers.tick(9000)
  watch.sign()
  t.mock.timers.tick(9000)
  assert.deepEqual(told, ['ask'])
  there = false
  watch.sign()
  t.mock.timers.tick(60_000)
  there = true
  watch.sign()
  t.mock.timers.tick(10_000)
  assert.deepEqual(told, ['ask', 'ask'])
  watch.stop()
  t.mock.timers.tick(60_000)
  assert.deepEqual(told, ['ask', 'ask'])
})

test('neither asks nor ends where that is 0', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const never = watchFor(0, 0)
  const onlyEnd = watchFor(0, 5)
  const onlyAsk = watchFor(5, 0)
  for (const { watch } of [never, onlyEnd, onlyAsk]) watch.agent(false)
  t.mock.timers.tick(5000)
  t.mock.timers.tick(60_000)
  assert.deepEqual([never.told, onlyEnd.told, onlyAsk.told], [[], ['end'], ['ask']])
})
