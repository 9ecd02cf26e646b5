// The counsellor categories in PostgreSQL: last write wins, and what is written is on record or not at all.
import type { Category, CategoryStore } from '../../src/sessions/categories.ts'
import { noted, valuesOf } from './note.ts'
import type { Database } from './query.ts'

export function createCategoryStore ({ query }: Database): CategoryStore {
  return {
    list: (onlyEnabled, deadline) => query<Category>('select * from counselor_categories where enabled or not $1 order by name, id', [onlyEnabled], deadline),

    byId: async (id, deadline) => (await query<Category>('select * from counselor_categories where id = $1', [id], deadline))[0],

    put: async (category, event, deadline) => (await query<Category>(`
      with written as (
        insert into counselor_categories (id, name, description, system_prompt, enabled, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $6)
        on conflict (id) do update set name = $2, description = $3, system_prompt = $4, enabled = $5, updated_at = $6
        returning *),
      ${noted(7)}
      select * from written`, [category.id, category.name, category.description, category.system_prompt, category.enabled, category.at, ...valuesOf(event)], deadline))[0]!,

    change: async (id, change, event, deadline) => (await query<Category>(`
      with written as (
        update counselor_categories set name = coalesce($2, name), description = coalesce($3, description),
          system_prompt = case when $4 then $5 else system_prompt end, enabled = coalesce($6, enabled), updated_at = $8
         where id = $1 returning *),
      ${noted(7)}
      select * from written`,
    [id, change.name ?? null, change.description ?? null, change.system_prompt !== undefined, change.system_prompt ?? null, change.enabled ?? null, ...valuesOf(event)], deadline))[0]
  }
}
