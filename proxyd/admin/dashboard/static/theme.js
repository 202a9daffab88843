// Light or dark, before anything is drawn: what was chosen here, or else what the system has. A classic script, so
// that the page does not flash in the other one.
(() => {
  const KEY = "proxyd.theme"
  const root = document.documentElement
  const read = () => {
    try { return localStorage.getItem(KEY) } catch { return null }
  }
  const apply = (choice) => {
    if (choice === "light" || choice === "dark") root.dataset.theme = choice
    else delete root.dataset.theme
  }
  apply(read())
  window.proxydTheme = {
    get choice() { return read() ?? "system" },
    set(choice) {
      try {
        if (choice === "system") localStorage.removeItem(KEY)
        else localStorage.setItem(KEY, choice)
      } catch { /* for this visit only */ }
      apply(choice)
    },
  }
})()
