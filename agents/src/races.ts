// Races that forget their runners: without this a call grows by 10 MB a minute.
import { ThrowsPromise } from '@livekit/throws-transformer/throws'
import { Unpromise } from '@watchable/unpromise'

/**
 * `Promise.race` leaves a reaction, and with it the value of the winner, with each promise that has not settled. @livekit/agents 1.9 races
 * each frame of the user's sound, a hundred a second, against one promise that settles when the call is over (`readStream` in its utils.ts),
 * so all that was heard stays in memory. Its races are ThrowsPromise's, which is replaced by one that leaves nothing behind.
 * test/races.test.ts; to be looked at after every upgrade of the framework.
 */
ThrowsPromise.race = ((values: Iterable<unknown>) => ThrowsPromise.fromPromise(Unpromise.race([...values]))) as typeof ThrowsPromise.race
