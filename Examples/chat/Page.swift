// SPDX-License-Identifier: Apache-2.0
//
// The page, in the program itself: so it is there wherever the program is started. `/?room=birds` is another room.

let page = """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Chat</title>
    <style>
    :root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
    body { display: flex; flex-direction: column; height: 100dvh; max-width: 45rem; margin: 0 auto; padding: 1rem;
           box-sizing: border-box; }
    h1 { margin: 0; font-size: 1.5rem; }
    #log { flex: 1; overflow-y: auto; margin: 0; padding: 0; list-style: none; }
    #log li { margin: .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
    form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; }
    label { display: flex; flex-direction: column; }
    .text { flex: 1 14rem; }
    input, button { font: inherit; padding: .4rem .6rem; }
    </style>
    </head>
    <body>
    <h1>Chat in <span id="room"></span></h1>
    <p id="people" role="status">connecting</p>
    <ol id="log" role="log" aria-label="Messages" tabindex="0"></ol>
    <form id="form">
    <label>Name <input id="name" autocomplete="nickname" maxlength="40" required></label>
    <label class="text">Message <input id="text" autocomplete="off" maxlength="2000" required></label>
    <button>Send</button>
    </form>
    <script>
    const element = id => document.getElementById(id)
    const room = new URLSearchParams(location.search).get('room') || 'lobby'
    const path = `/rooms/${encodeURIComponent(room)}`
    element('room').textContent = room

    const events = new EventSource(`${path}/events`)
    events.onerror = () => { element('people').textContent = 'connecting again' }
    // A page that is left may stay in the browser's memory, with its stream, to be shown again.
    addEventListener('pagehide', () => events.close())
    addEventListener('pageshow', event => { if (event.persisted) location.reload() })
    events.addEventListener('people', event => {
        element('people').textContent = event.data === '1' ? 'nobody else is here' : `${event.data} people are here`
    })
    events.addEventListener('message', event => {
        const end = event.data.indexOf('\\n')
        const item = document.createElement('li')
        const name = document.createElement('strong')
        // As text, never as HTML: somebody else wrote it.
        name.textContent = event.data.slice(0, end)
        item.append(name, ' ' + event.data.slice(end + 1))
        element('log').append(item)
        item.scrollIntoView()
    })

    element('form').addEventListener('submit', async event => {
        event.preventDefault()
        const text = element('text')
        const body = new URLSearchParams({ name: element('name').value, text: text.value })
        const answer = await fetch(`${path}/messages`, { method: 'POST', body }).catch(error => null)
        text.focus()
        if (answer && answer.ok) return text.value = ''
        text.setCustomValidity('The message was not sent.')
        text.reportValidity()
    })
    element('text').addEventListener('input', event => event.target.setCustomValidity(''))
    </script>
    </body>
    </html>

    """
