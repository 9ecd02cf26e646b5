// Counsellor categories: who may see and change them, and which prompt an agent gets (B3, B4).
import { randomUUID } from 'node:crypto'
import type { Audit } from './audit.ts'
import type { Call } from './caller.ts'
import type { Clock } from './clock.ts'
import { CategoryNotFound } from './errors.ts'
import type { Session, SessionEvent } from './store.ts'

export interface Category {
  id: string
  name: string
  description: string
  /** What the agent is told; null = the default prompt. */
  system_prompt: string | null
  enabled: boolean
  created_at: Date
  updated_at: Date
}

export type CategoryChange = Partial<Pick<Category, 'name' | 'description' | 'system_prompt' | 'enabled'>>

export interface CategoryStore {
  list: (onlyEnabled: boolean, deadline?: number) => Promise<Category[]>
  byId: (id: string, deadline?: number) => Promise<Category | undefined>
  /** Inserts, or replaces the one with this id. `event` is on record with it, or neither is. */
  put: (category: Omit<Category, 'created_at' | 'updated_at'> & { at: Date }, event?: SessionEvent, deadline?: number) => Promise<Category>
  change: (id: string, change: CategoryChange, event: SessionEvent, deadline?: number) => Promise<Category | undefined>
}

export interface CategoriesDependencies { categories: CategoryStore, audit: Audit, clock: Clock }

/** How long a category is believed without asking again, ms: another replica's change is seen within a second (B7). */
const FRESH = 500
/** Categories remembered at once. */
const REMEMBERED = 1000

/** B4: what an agent is told when its category says nothing. */
export const defaultPrompt = `You are a supportive counsellor who talks with students over video.
Be warm, and keep the calm presence of somebody who looks the other person in the eye. Be empathetic and professional, and never judge.
Ask questions until you understand what the student means before you advise. Then give practical guidance: small steps that can be taken this week.
Speak in short sentences. If somebody is in danger, say clearly that they should call their local emergency number now.`

export function createCategories ({ categories, audit, clock }: CategoriesDependencies) {
  const remembered = new Map<string, { until: number, category: Promise<Category | undefined> }>()

  /** One category, at most half a second old. Failures are not remembered. */
  function read (id: string, deadline?: number): Promise<Category | undefined> {
    const known = remembered.get(id)
    if (known && known.until > clock.elapsed()) return known.category
    const category = categories.byId(id, deadline)
    if (remembered.size >= REMEMBERED) remembered.clear()
    remembered.set(id, { until: clock.elapsed() + FRESH, category })
    category.then((found) => { if (!found) remembered.delete(id) }, () => remembered.delete(id))
    return category
  }

  return {
    /** The enabled ones, as users see them; with `all`, for administrators, every one with its prompt. */
    async list (call: Call, all = false) {
      if (all) await audit.onlyAdmin(call, 'listCounselorCategories')
      const found = await categories.list(!all, call.deadline)
      return { categories: all ? found : found.map(({ id, name, description }) => ({ id, name, description })) }
    },

    /** One with its prompt, for administrators. */
    async get (call: Call, id: string): Promise<Category> {
      await audit.onlyAdmin(call, 'getCounselorCategory')
      const category = await categories.byId(id, call.deadline)
      if (!category) throw new CategoryNotFound()
      return category
    },

    async create (call: Call, wanted: CategoryChange & Pick<Category, 'name'>): Promise<Category> {
      await audit.onlyAdmin(call, 'createCounselorCategory')
      const id = randomUUID()
      return categories.put({ id, name: wanted.name, description: wanted.description ?? '', system_prompt: wanted.system_prompt ?? null, enabled: wanted.enabled ?? true, at: new Date(clock.now()) },
        audit.change(call, 'category.created', { category: id, name: wanted.name }), call.deadline)
    },

    /** Changes what is given; enables and disables. Last write wins. */
    async change (call: Call, id: string, change: CategoryChange): Promise<Category> {
      await audit.onlyAdmin(call, 'changeCounselorCategory')
      const category = await categories.change(id, change, audit.change(call, 'category.changed', { category: id, changed: Object.keys(change) }), call.deadline)
      if (!category) throw new CategoryNotFound()
      remembered.delete(id)
      return category
    },

    /** The category a session is to be started with: of a disabled one only a start that was made before is had again (B3, D3). */
    async find (call: Call, id: string): Promise<Category> {
      const category = await read(id, call.deadline)
      if (!category) throw new CategoryNotFound()
      return category
    },

    /** What the agent of this session is told: its category's prompt, or the default one. Nothing for a voice session. */
    async promptOf (session: Session): Promise<string | undefined> {
      if (!session.category_id) return undefined
      return (await read(session.category_id))?.system_prompt ?? defaultPrompt
    }
  }
}

export type Categories = ReturnType<typeof createCategories>
