// The way in: a token, exchanged for a session's cookie.

import { login } from "./api.js"
import { h } from "./dom.js"
import { field, form } from "./forms.js"
import { seconds } from "./format.js"

/** Return the page; `done` is called once somebody is logged in. `note` is said above the form. */
export function loginPage(done, note = null) {
  const token = field({
    label: "Admin token", name: "token", type: "password", autocomplete: "current-password", required: true,
    help: "One of the tokens in admin_tokens. It is not kept here: the gateway gives a session for it.",
  })
  const entry = form({ fields: [token], label: "Log in", submit: enter })
  entry.prepend(h("input", { type: "text", name: "username", value: "proxyd", autocomplete: "username", hidden: true }))

  async function enter({ token: text }) {
    if (!text.trim()) {
      token.fail("A token is needed.")
      token.control.focus()
      return
    }
    try {
      await login(text.trim())
    } catch (error) {
      if (error.status === 401 || error.status === 403) token.fail("This token is not known.")
      else if (error.status === 429) token.fail(`Too many attempts. ${wait(error)}`)
      else throw error
      token.control.select()
      return
    }
    done()
  }

  setTimeout(() => token.control.focus())
  return h("main", { class: "login", id: "main" },
    h("div", { class: "login-box" },
      h("div", { class: "brand large" }, h("img", { src: "dashboard/static/icon.svg", alt: "", width: 40, height: 40 }), h("h1", {}, "proxyd")),
      note && h("p", { class: "login-note", role: "status" }, note), entry))
}

function wait(error) {
  const left = Number(error.retryAfter)
  return left > 0 ? `Try again in ${seconds(left)}.` : "Try again later."
}
