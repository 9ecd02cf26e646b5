// The arithmetic of the limits on texts and on history.
import { llm } from '@livekit/agents'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newestOf } from '../src/history.ts'
import { createAllowance } from '../src/texts.ts'

test('an allowance lets a burst through, then one per interval, and tells the first refusal of a burst from the others', () => {
  let now = 0
  const allowance = createAllowance({ burst: 3, interval: 2 }, () => now)
  const takes = (count: number) => Array.from({ length: count }, () => allowance.take())
  const [yes, first, again] = [{ allowed: true, noted: false }, { allowed: false, noted: false }, { allowed: false, noted: true }]
  assert.deepEqual(takes(5), [yes, yes, yes, first, again])
  now += 1999
  assert.deepEqual(takes(1), [again])
  now += 1
  assert.deepEqual(takes(2), [{ allowed: true, noted: true }, again])
  now += 1_000_000
  assert.deepEqual(takes(4), [yes, yes, yes, first])
})

const message = (role: 'system' | 'user' | 'assistant', content: string) => llm.ChatMessage.create({ role, content })
const called = (id: string, args = '{}') => llm.FunctionCall.create({ callId: id, name: 'tool', args })
const result = (id: string, output: string) => llm.FunctionCallOutput.create({ callId: id, name: 'tool', output, isError: false })
const shown = (items: llm.ChatItem[], limits: { items: number, characters: number }) => newestOf(new llm.ChatContext(items), limits).items.map((item) =>
  item.type === 'message' ? item.textContent : item.type === 'function_call' ? `${item.callId}?` : item.type === 'function_call_output' ? `${item.callId}: ${item.output}` : item.type)

test('history is cut at its old end, the instructions stay', () => {
  const talk = [message('system', 'be kind, at any length'), message('assistant', 'hello'), message('user', 'one'), message('assistant', 'two'), message('user', 'three')]
  assert.deepEqual(shown(talk, { items: 100, characters: 1000 }), ['be kind, at any length', 'hello', 'one', 'two', 'three'])
  assert.deepEqual(shown(talk, { items: 3, characters: 1000 }), ['be kind, at any length', 'one', 'two', 'three'])
  assert.deepEqual(shown(talk, { items: 100, characters: 10 }), ['be kind, at any length', 'two', 'three'])
  assert.deepEqual(shown(talk, { items: 1, characters: 1 }), ['be kind, at any length', 'three'])
  assert.deepEqual(shown([], { items: 1, characters: 1 }), [])
})

test('history never begins with the result of a tool, and holds the turn under way', () => {
  const earlier = [message('user', 'ask'), called('a'), called('b'), result('a', 'x'), result('b', 'y'), message('assistant', 'said')]
  const later = [message('user', 'more'), called('c'), result('c', 'z'.repeat(50)), called('d'), result('d', 'w'.repeat(50))]
  for (const items of [7, 8, 9]) assert.deepEqual(shown([...earlier, ...later], { items, characters: 1000 })[0], 'said')
  assert.deepEqual(shown([...earlier, ...later], { items: 2, characters: 100 }), ['more', 'c?', 'c: [left out: too long]', 'd?', `d: ${'w'.repeat(50)}`])
  assert.deepEqual(shown([...earlier, ...later], { items: 100, characters: 89 }), ['more', 'c?', 'c: [left out: too long]', 'd?', `d: ${'w'.repeat(50)}`])
  assert.deepEqual(shown([message('assistant', 'hello'), called('e'), result('e', 'v')], { items: 2, characters: 100 }), [])
})
