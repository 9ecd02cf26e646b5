// What the framework has read of a stream is not kept until the call is over.
import { ThrowsPromise } from '@livekit/throws-transformer/throws'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import '../src/races.ts'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

test('what has won a race is not kept by who is still running', async () => {
  let over = () => {}
  const untilOver = new Promise<void>((resolve) => { over = resolve })
  const frames: Array<WeakRef<object>> = []
  for (let n = 0; n < 100; n++) {
    const frame = await ThrowsPromise.race([Promise.resolve({ n }), untilOver])
    assert.equal((frame as { n: number }).n, n)
    frames.push(new WeakRef(frame as object))
  }
  await sleep(1) // a WeakRef holds on until the turn of the event loop that made it is over
  collect()
  assert.ok(frames.filter((frame) => frame.deref()).length <= 1, 'but for the last, which is still on the stack')
  over()
  assert.equal(await ThrowsPromise.race([new Promise(() => {}), untilOver]), undefined)
})

test('a race is lost as Promise.race loses it', async () => {
  await assert.rejects(ThrowsPromise.race([Promise.reject(new Error('no')), new Promise(() => {})]), /no/)
  assert.equal(await ThrowsPromise.race([1, Promise.resolve(2)]), 1)
})
