// The talk page: choose whom to talk to, talk or type, and see how it goes.
import { StrictMode, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { SessionProvider } from '@livekit/components-react'
import { answer, createApi, readToken, Refused, type Category } from '../api.ts'
import { Account, Frame, SignIn, Trouble } from '../frame.tsx'
import { texts } from '../texts.ts'
import '../style.css'
import { Conversation } from './conversation.tsx'
import { useConversation, type AgentType, type Choice } from './use-conversation.ts'

const agentTypes = Object.keys(texts.agents) as AgentType[]
const token = readToken()

function Chooser ({ categories, busy, onStart }: { categories: Category[], busy: boolean, onStart: (choice: Choice) => void }) {
  const [mode, setMode] = useState<Choice['mode']>('voice')
  const [agentType, setAgentType] = useState<AgentType>('general')
  const [category, setCategory] = useState<string>()
  const chosen = category ?? categories[0]?.id
  return (
    <form
      className='chooser' onSubmit={(event) => {
        event.preventDefault()
        if (mode === 'voice') onStart({ mode, agentType })
        else if (chosen) onStart({ mode, category: chosen })
      }}
    >
      <h1>{texts.hello}</h1>
      <p className='soft'>{texts.helloHint}</p>
      <fieldset className='switch'>
        <legend className='unseen'>{texts.mode}</legend>
        {(['voice', 'video'] as const).map((one) => (
          <label key={one}><input type='radio' name='mode' checked={mode === one} onChange={() => setMode(one)} /><span>{texts[one]}</span></label>
        ))}
      </fieldset>
      <fieldset className='choices'>
        <legend className='unseen'>{texts.about}</legend>
        {mode === 'voice'
          ? agentTypes.map((one) => (
            <label key={one}><input type='radio' name='about' checked={agentType === one} onChange={() => setAgentType(one)} /><span><b>{texts.agents[one]}</b><small>{texts.agentHints[one]}</small></span></label>
          ))
          : categories.map(({ id, name, description }) => (
            <label key={id}><input type='radio' name='about' checked={chosen === id} onChange={() => setCategory(id)} /><span><b>{name}</b><small>{description}</small></span></label>
          ))}
        {mode === 'video' && categories.length === 0 && <p className='soft'>{texts.noCategories}</p>}
      </fieldset>
      <button className='main' type='submit' disabled={busy || (mode === 'video' && !chosen)}>{busy ? texts.starting : texts.start}</button>
    </form>
  )
}

function Talk ({ token }: { token: string }) {
  const [api] = useState(() => createApi(token))
  const [categories, setCategories] = useState<Category[]>([])
  const [signedOut, setSignedOut] = useState(false)
  const conversation = useConversation(api, token)
  const { phase, problem } = conversation
  useEffect(() => {
    answer(api.GET('/api/v1/counselor-categories')).then(({ categories }) => setCategories(categories), (error) => {
      if (error instanceof Refused && error.status === 401) setSignedOut(true)
    })
  }, [api])

  if (signedOut || problem === 'signedOut') return <SignIn><Trouble problem='signedOut' /></SignIn>
  if (phase === 'talking') return <SessionProvider session={conversation.session}><Conversation {...conversation} /></SessionProvider>
  return (
    <div className='stage'>
      {problem && (
        <Trouble problem={problem}>
          {conversation.place && <button className='main' type='button' onClick={conversation.rejoin}>{texts.rejoin}</button>}
          {conversation.place && <button type='button' onClick={conversation.end}>{texts.end}</button>}
          {!conversation.place && <button type='button' onClick={conversation.dismiss}>{texts.dismiss}</button>}
        </Trouble>
      )}
      <Chooser categories={categories} busy={phase === 'joining'} onStart={conversation.start} />
    </div>
  )
}

createRoot(document.getElementById('page')!).render(
  <StrictMode>
    <Frame title={texts.talk} extra={token && <Account token={token} />}>{token ? <Talk token={token} /> : <SignIn />}</Frame>
  </StrictMode>
)
