// The console: what goes on, what was, and what video sessions are about. It lives on the public API alone.
import { StrictMode, useCallback, useEffect, useRef, useState, type FormEvent } from 'react'
import { createRoot } from 'react-dom/client'
import { answer, createApi, readToken, Refused, type Api, type Category, type Overview, type Session } from '../api.ts'
import { Account, clockTime, Frame, SignIn, Trouble } from '../frame.tsx'
import { language, texts } from '../texts.ts'
import '../style.css'
import { Timeline } from './timeline.tsx'
import { useLive, type Tell } from './use-live.ts'

const token = readToken()
const dateTime = new Intl.DateTimeFormat(language, { dateStyle: 'short', timeStyle: 'short' })
const percent = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 })
const seconds = (ms: number | null) => ms === null ? '–' : `${new Intl.NumberFormat(language, { maximumFractionDigits: 2 }).format(ms / 1000)} s`
const aboutOf = (session: Session) => session.agent_type ? texts.agents[session.agent_type] : session.counselor_category ?? '–'

function Figures ({ overview }: { overview: Overview }) {
  const { live, started, start_failed: starts, agent_failed: agents, agent_ms: wait } = overview
  const figures = [
    [texts.liveNow, (live.voice ?? 0) + (live.video ?? 0), `${texts.voice} ${live.voice} · ${texts.video} ${live.video}`],
    [texts.startedHour, started, started > 0 ? texts.reached(percent.format(Math.max(0, started - starts - agents) / started)) : ''],
    [texts.agentWait, seconds(wait.median), texts.agentWaitHint(seconds(wait.p95))],
    [texts.failures, starts + agents, texts.failuresHint(starts, agents)]
  ] as const
  return <dl className='figures'>{figures.map(([name, value, hint]) => <div key={name}><dt>{name}</dt><dd>{value}</dd><dd className='hint'><small>{hint}</small></dd></div>)}</dl>
}

interface Acts { onOpen: (session: Session) => void, onEnd: (session: Session) => void }

function Live ({ sessions, onOpen, onEnd }: Acts & { sessions: Session[] }) {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  return (
    <div className='table' tabIndex={0} role='region' aria-label={texts.live}>
      <table>
        <thead><tr><th scope='col'>{texts.user}</th><th scope='col'>{texts.about}</th><th scope='col'>{texts.agent}</th><th scope='col'>{texts.age}</th><th scope='col'>{texts.dispatches}</th><th><span className='unseen'>{texts.endSession}</span></th></tr></thead>
        <tbody>
          {sessions.length === 0 && <tr><td colSpan={6} className='soft'>{texts.nothing}</td></tr>}
          {sessions.map((session) => (
            <tr key={session.id}>
              <td><b>{session.user_id}</b></td>
              <td>{texts[session.mode]} · {aboutOf(session)}</td>
              <td><span className={`chip ${session.agent.state}`}>{texts.agentStates[session.agent.state]}</span></td>
              <td>{clockTime(now - Date.parse(session.created_at))}</td>
              <td>{session.agent.dispatches}</td>
              <td><div className='row'><button type='button' onClick={() => onOpen(session)}>{texts.openSession}</button><button type='button' className='danger' onClick={() => onEnd(session)}>{texts.endSession}</button></div></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

interface Query { user_id?: string, mode?: 'voice' | 'video', state?: 'live' | 'ended', from?: string, to?: string, cursor?: string }

function History ({ api, tell, onOpen }: Pick<Acts, 'onOpen'> & { api: Api, tell: Tell }) {
  const [query, setQuery] = useState<Query>({})
  /** What was found, and by which query: by another one than `query`, it is being asked. */
  const [found, setFound] = useState<{ query: Query, sessions?: Session[], next: string | null }>({ query, next: null })
  useEffect(() => {
    const controller = new AbortController()
    const load = async () => {
      const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value))
      const page = await answer(api.GET('/api/v1/sessions', { params: { query: given }, signal: controller.signal }))
      setFound(({ sessions = [] }) => ({ query, sessions: query.cursor ? [...sessions, ...page.sessions] : page.sessions, next: page.next_cursor }))
      tell('load')
    }
    const timer = setTimeout(() => {
      load().catch((error) => {
        if (controller.signal.aborted) return
        setFound((before) => query.cursor ? { ...before, query } : { query, next: null })
        tell('load', error)
      })
    }, query.cursor ? 0 : 250)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  }, [api, query, tell])
  const set = (name: keyof Query, value: string) => setQuery(({ cursor, ...before }) => ({ ...before, [name]: value }))
  /** The midnight at which a day begins, or the `later`th after it. */
  const midnight = (day: string, later = 0) => {
    if (!day) return ''
    const time = new Date(`${day}T00:00`)
    time.setDate(time.getDate() + later)
    return time.toISOString()
  }
  const { sessions, next } = found
  return (
    <>
      <div className='filters'>
        <label>{texts.filterUser}<input value={query.user_id ?? ''} maxLength={128} onChange={(event) => set('user_id', event.target.value)} /></label>
        <label>{texts.mode}<select onChange={(event) => set('mode', event.target.value)}><option value=''>{texts.all}</option><option value='voice'>{texts.voice}</option><option value='video'>{texts.video}</option></select></label>
        <label>{texts.state}<select onChange={(event) => set('state', event.target.value)}><option value=''>{texts.all}</option><option value='live'>{texts.live}</option><option value='ended'>{texts.ended}</option></select></label>
        <label>{texts.from}<input type='date' onChange={(event) => set('from', midnight(event.target.value))} /></label>
        <label>{texts.to}<input type='date' onChange={(event) => set('to', midnight(event.target.value, 1))} /></label>
      </div>
      <div className='table' tabIndex={0} role='region' aria-label={texts.history}>
        <table>
          <thead><tr><th scope='col'>{texts.startedAt}</th><th scope='col'>{texts.user}</th><th scope='col'>{texts.about}</th><th scope='col'>{texts.duration}</th><th scope='col'>{texts.reason}</th><th><span className='unseen'>{texts.openSession}</span></th></tr></thead>
          <tbody>
            {sessions?.length === 0 && <tr><td colSpan={6} className='soft'>{texts.nothing}</td></tr>}
            {sessions?.map((session) => (
              <tr key={session.id}>
                <td>{dateTime.format(new Date(session.created_at))}</td>
                <td><b>{session.user_id}</b></td>
                <td>{texts[session.mode]} · {aboutOf(session)}</td>
                <td>{session.ended_at ? clockTime(Date.parse(session.ended_at) - Date.parse(session.created_at)) : '–'}</td>
                <td>{session.end_reason ?? <span className='chip joined'>{session.state}</span>}</td>
                <td><div className='row'><button type='button' onClick={() => onOpen(session)}>{texts.openSession}</button></div></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {next && <div className='row'><button type='button' disabled={found.query !== query} onClick={() => setQuery((before) => ({ ...before, cursor: next }))}>{texts.more}</button></div>}
    </>
  )
}

function CategoryForm ({ api, category, onSaved }: { api: Api, category?: Category, onSaved: () => void }) {
  const [said, setSaid] = useState('')
  const save = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const data = new FormData(form)
    const body = { name: String(data.get('name')).trim(), description: String(data.get('description')).trim(), system_prompt: String(data.get('prompt')).trim() || null, enabled: data.get('enabled') === 'on' }
    try {
      if (category) await answer(api.PATCH('/api/v1/counselor-categories/{id}', { params: { path: { id: category.id } }, body }))
      else {
        await answer(api.POST('/api/v1/counselor-categories', { body }))
        form.reset()
      }
      setSaid(texts.saved)
      onSaved()
    } catch (error) {
      setSaid(error instanceof Refused && error.status ? error.message : texts.problems.away[0])
    }
  }
  return (
    <form className='card' aria-label={category?.name ?? texts.add} onSubmit={(event) => { save(event).catch(() => {}) }} onChange={() => setSaid('')}>
      {!category && <h2>{texts.add}</h2>}
      <label>{texts.name}<input name='name' defaultValue={category?.name} required maxLength={100} /></label>
      <label>{texts.description}<input name='description' defaultValue={category?.description} maxLength={1000} /></label>
      <label>{texts.prompt} <small>{texts.promptHint}</small><textarea name='prompt' defaultValue={category?.system_prompt ?? ''} maxLength={10_000} /></label>
      <label className='check'><input name='enabled' type='checkbox' defaultChecked={category?.enabled ?? true} />{texts.enabled}</label>
      <div className='row'><button className='main' type='submit'>{texts.save}</button><span role='status'>{said}</span></div>
    </form>
  )
}

function Categories ({ api, tell }: { api: Api, tell: Tell }) {
  const [categories, setCategories] = useState<Category[]>([])
  const load = useCallback(async () => { setCategories((await answer(api.GET('/api/v1/counselor-categories', { params: { query: { all: 'true' } } }))).categories) }, [api])
  const again = useCallback(() => { load().then(() => tell('load'), (error) => tell('load', error)) }, [load, tell])
  useEffect(again, [again])
  return <div className='categories'>{categories.map((category) => <CategoryForm key={category.id} api={api} category={category} onSaved={again} />)}<CategoryForm api={api} onSaved={again} /></div>
}

function Sure ({ session, onYes, onNo }: { session: Session, onYes: () => void, onNo: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => { dialog.current?.showModal() }, [])
  return (
    <dialog ref={dialog} className='small' onClose={onNo} aria-labelledby='sure-title'>
      <div className='sheet'>
        <h2 id='sure-title'>{texts.endSure}</h2>
        <p className='soft'>{session.user_id} · {aboutOf(session)}</p>
        <div className='row'><button type='button' className='danger' onClick={onYes}>{texts.yesEnd}</button><button type='button' onClick={onNo}>{texts.no}</button></div>
      </div>
    </dialog>
  )
}

const tabs = ['live', 'history', 'categories'] as const
const tabOf = () => tabs.find((tab) => location.hash === `#${tab}`) ?? 'live'

function Console ({ token }: { token: string }) {
  const [api] = useState(() => createApi(token))
  const [tab, setTab] = useState<typeof tabs[number]>(tabOf)
  const [failed, setFailed] = useState<Partial<Record<Parameters<Tell>[0], Refused>>>({})
  const [open, setOpen] = useState<Session>()
  const [ending, setEnding] = useState<Session>()
  const tell = useCallback<Tell>((work, error) => {
    setFailed((before) => ({ ...before, [work]: error === undefined || error instanceof Refused ? error : new Refused(0) }))
  }, [])
  const { sessions, overview, following, look, listen } = useLive(api, token, tell)
  useEffect(() => {
    const changed = () => {
      setTab(tabOf())
      tell('load')
    }
    window.addEventListener('hashchange', changed)
    return () => window.removeEventListener('hashchange', changed)
  }, [tell])
  const end = async (session: Session) => {
    setEnding(undefined)
    setOpen(undefined)
    await answer(api.DELETE('/api/v1/sessions/{id}', { params: { path: { id: session.id } } }))
      .then(() => tell('end'), (error) => tell('end', error instanceof Refused && error.status === 404 ? undefined : error))
    await look()
  }
  const problems = Object.values(failed).filter((problem) => problem !== undefined)
  const [problem] = problems
  if (problems.some(({ status }) => status === 401)) return <SignIn><Trouble problem='signedOut' /></SignIn>
  if (problems.some(({ status }) => status === 403)) return <SignIn><p role='alert'>{texts.adminOnly}</p></SignIn>
  return (
    <div className='console'>
      <h1 className='unseen'>{texts.console}</h1>
      {problem && <Trouble problem={problem.status ? 'service' : 'away'}><button type='button' onClick={() => setFailed({})}>{texts.dismiss}</button></Trouble>}
      {overview && <Figures overview={overview} />}
      <nav className='tabs' aria-label={texts.console}>{tabs.map((one) => <a key={one} href={`#${one}`} aria-current={tab === one ? 'page' : undefined}>{texts[one]}</a>)}</nav>
      {tab === 'live' && <><p className={following ? 'following on' : 'following'} role='status'>{following ? texts.following : texts.notFollowing}</p><Live sessions={sessions} onOpen={setOpen} onEnd={setEnding} /></>}
      {tab === 'history' && <History api={api} tell={tell} onOpen={setOpen} />}
      {tab === 'categories' && <Categories api={api} tell={tell} />}
      {open && <Timeline key={open.id} api={api} session={open} listen={listen} onClose={() => setOpen(undefined)} onEnd={setEnding} />}
      {ending && <Sure session={ending} onYes={() => { end(ending).catch(() => {}) }} onNo={() => setEnding(undefined)} />}
    </div>
  )
}

createRoot(document.getElementById('page')!).render(
  <StrictMode>
    <Frame title={texts.console} extra={token && <Account token={token} />}>{token ? <Console token={token} /> : <SignIn />}</Frame>
  </StrictMode>
)
