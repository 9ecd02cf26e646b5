// What both pages share: the bar on top, the card that says what went wrong, and signing in.
import { useState, type ReactNode } from 'react'
import { dropToken, keepToken, ownerOf } from './api.ts'
import { switchLanguage, texts, type ProblemName } from './texts.ts'

export function Frame ({ title, children, extra }: { title: string, children: ReactNode, extra?: ReactNode }) {
  return (
    <>
      <header className='bar'>
        <a className='brand' href={location.pathname}><img src={`${import.meta.env.BASE_URL}icon.svg`} alt='' width='28' height='28' />{title}</a>
        <div className='bar-end'>
          {extra}
          <button className='quiet' type='button' onClick={switchLanguage}>{texts.language}</button>
        </div>
      </header>
      <main>{children}</main>
    </>
  )
}

/** Says what went wrong in words, and the way out. Read out at once. */
export function Trouble ({ problem, children }: { problem: ProblemName, children?: ReactNode }) {
  const [title, way] = texts.problems[problem]
  return (
    <section className='trouble' role='alert'>
      <div>
        <strong>{title}</strong>
        <p>{way}</p>
      </div>
      <div className='row'>{children}</div>
    </section>
  )
}

export function SignIn ({ children }: { children?: ReactNode }) {
  const [token, setToken] = useState('')
  return (
    <form
      className='card narrow' onSubmit={(event) => {
        event.preventDefault()
        keepToken(token.trim())
        location.reload()
      }}
    >
      {children}
      <h1>{texts.signIn}</h1>
      <p className='soft'>{texts.signInHint}</p>
      <label>{texts.token}<input value={token} onChange={(event) => setToken(event.target.value)} autoComplete='off' required /></label>
      <button className='main' type='submit'>{texts.signIn}</button>
    </form>
  )
}

/** Whose token it is: whoever opened the page by a link sees for whom he speaks. */
export function Account ({ token }: { token: string }) {
  return (
    <>
      <span className='owner'><span className='unseen'>{texts.signedInAs} </span>{ownerOf(token)?.name}</span>
      <button
        className='quiet' type='button' onClick={() => {
          dropToken()
          location.reload()
        }}
      >{texts.signOut}
      </button>
    </>
  )
}

/** `1:05`, `1:02:03`. */
export function clockTime (ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  return (parts[0] ? parts : parts.slice(1)).map((part, n) => n ? String(part).padStart(2, '0') : part).join(':')
}
