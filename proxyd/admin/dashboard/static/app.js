// The shell: who is logged in, the navigation, and the page that the address names.

import { loadSession, logout, onLoggedOut, session } from "./api.js"
import { closeDialogs, toast } from "./dialogs.js"
import { h, replace } from "./dom.js"
import { icon } from "./icons.js"
import { loginPage } from "./login.js"
import { inNavigation, link, resolve } from "./router.js"
import { button, empty, failure, loading } from "./ui.js"
import "./pages.js"

const root = document.getElementById("app")
const main = h("main", { id: "main", tabindex: "-1" })
const spoken = h("div", { class: "offscreen", role: "status", "aria-live": "polite" })
let shell = null
let present = null // {controller, leave, path} of the page that is shown
let opened = false

async function start(note = null) {
  leave()
  try {
    if (await loadSession()) enter()
    else showLogin(note)
  } catch (error) {
    replace(root, h("main", { id: "main" }, h("h1", { class: "offscreen" }, "proxyd"), failure(error, () => start())))
  }
}

function showLogin(note) {
  leave()
  closeDialogs()
  shell = null
  document.title = "Log in · proxyd"
  replace(root, loginPage(enter, note))
}

function enter() {
  shell = frame()
  replace(root, shell)
  show()
}

onLoggedOut(() => {
  if (shell) showLogin(session.login_required || session.name ? "Your session has ended. Log in again." : null)
})

// --- the frame ----------------------------------------------------------------------------------------------------

function frame() {
  const menu = navigation()
  const toggle = button("", { kind: "quiet menu-toggle", icon: "menu", label: "Menu", "aria-expanded": "false", "aria-controls": "navigation" })
  const close = () => {
    menu.classList.remove("open")
    toggle.setAttribute("aria-expanded", "false")
  }
  toggle.addEventListener("click", () => {
    const open = menu.classList.toggle("open")
    toggle.setAttribute("aria-expanded", String(open))
    if (open) menu.querySelector("a")?.focus()
  })
  menu.addEventListener("click", (event) => { if (event.target.closest("a")) close() })
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.classList.contains("open")) return
    close()
    toggle.focus()
  })
  const skip = h("a", { class: "skip", href: "#main", on: { click: (event) => { event.preventDefault(); main.focus() } } }, "Skip to content")
  return h("div", { class: "shell" }, skip,
    h("header", { class: "topbar" }, toggle,
      h("a", { class: "brand", href: "#/" }, h("img", { src: "dashboard/static/icon.svg", alt: "", width: 26, height: 26 }), "proxyd"),
      h("div", { class: "topbar-end" }, themeButton(), account())),
    menu, main, spoken)
}

function navigation() {
  const groups = new Map()
  for (const entry of inNavigation()) {
    const { group, icon: picture } = entry.nav
    if (!groups.has(group)) groups.set(group, [])
    groups.get(group).push(h("li", {}, h("a", { href: link(entry.path), dataset: { path: entry.path } }, icon(picture), entry.title)))
  }
  return h("nav", { id: "navigation", class: "navigation", "aria-label": "Pages" },
    [...groups].map(([group, links]) => [h("h2", { class: "nav-group" }, group), h("ul", {}, links)]))
}

function account() {
  if (!session.name) return null
  return h("div", { class: "account" },
    h("span", { class: "account-name" }, session.name, session.role !== session.name && h("span", { class: "account-role" }, session.role)),
    session.login_required && button("", { kind: "quiet", icon: "logout", label: "Log out", onClick: end }))
}

async function end() {
  try {
    await logout()
    showLogin(null)
  } catch (error) {
    toast("bad", `You are still logged in. ${error.message}.`)
  }
}

function themeButton() {
  const order = ["system", "light", "dark"]
  const pictures = { system: "screen", light: "sun", dark: "moon" }
  const made = button("", { kind: "quiet", icon: "screen", label: "Colours" })
  const tell = () => {
    const { choice } = window.proxydTheme
    replace(made, icon(pictures[choice]))
    made.setAttribute("aria-label", `Colours: ${choice}`)
    made.title = `Colours: ${choice}`
  }
  made.addEventListener("click", () => {
    window.proxydTheme.set(order[(order.indexOf(window.proxydTheme.choice) + 1) % order.length])
    tell()
  })
  tell()
  return made
}

// --- the page -----------------------------------------------------------------------------------------------------

function leave() {
  present?.controller.abort()
  present?.leave?.()
  present = null
}

async function show() {
  if (!shell) return
  leave()
  const { route, params, query, path } = resolve(location.hash)
  const controller = new AbortController()
  present = { controller, leave: null }
  const mine = present
  mark(path)
  const page = h("div", { class: "page" })
  replace(main, page)
  scrollTo(0, 0)
  if (!route) {
    document.title = "Not found · proxyd"
    replace(page, h("h1", { tabindex: "-1" }, "Not found"), empty("There is no such page", path, h("a", { class: "button", href: "#/" }, "To the overview")))
    settle(page, "Not found")
    return
  }
  document.title = `${route.title} · proxyd`
  replace(page, loading())
  try {
    const module = await import(route.module)
    if (mine !== present) return
    page.replaceChildren()
    const done = await module.mount(page, { params, query, path, session, signal: controller.signal })
    if (mine === present) mine.leave = done ?? null
    else done?.()
  } catch (error) {
    if (mine !== present || error.name === "AbortError") return
    console.error(error)
    replace(page, h("h1", { tabindex: "-1" }, route.title), failure(error, show))
  }
  if (mine === present) settle(page, document.title)
}

/** Have keyboards and screen readers go on at the new page's heading; at the first one, where the browser begins. */
function settle(page, title) {
  spoken.textContent = title
  if (opened) page.querySelector("h1")?.focus({ preventScroll: true })
  opened = true
}

function mark(path) {
  for (const one of shell.querySelectorAll(".navigation a")) {
    const own = one.dataset.path
    const here = own === "/" ? path === "/" : path === own || path.startsWith(`${own}/`)
    if (here) one.setAttribute("aria-current", "page")
    else one.removeAttribute("aria-current")
  }
}

addEventListener("hashchange", show)
start()
