// The migrations: many instances that bring one database up to date at once.
import t from 'tap'
import { migrate } from '../plugins/database/migrate.ts'
import { databaseFor, queryFor } from './helper.ts'

t.test('eight instances that migrate an empty database at once all come up', async (t) => {
  const url = await databaseFor(t)
  await Promise.all(Array.from({ length: 8 }, () => migrate(url)))
  const query = await queryFor(t, url)
  t.ok((await query('select version from schema_version')).length >= 1)
  t.same(await query('select * from sessions'), [])
})
