// Asking again and again: paused by hand, stopped while nobody sees the page, slower while the gateway does not answer.

const SLOWEST = 30 // times the interval

/**
 * Call `load` every `seconds`, at once for the first time, until `signal` is aborted. `onState(state, error)` hears of
 * "live", "paused", "hidden" and "failing". Returns {pause, resume, now, every(seconds), paused}.
 */
export function live({ seconds, load, signal, onState = () => {} }) {
  let timer = null
  let paused = false
  let running = false
  let again = false
  let failures = 0

  async function turn() {
    clearTimeout(timer)
    timer = null
    if (signal.aborted) return
    if (running) {
      again = true
      return
    }
    running = true
    try {
      await load()
      failures = 0
      state()
    } catch (error) {
      if (error.name !== "AbortError") {
        failures += 1
        onState("failing", error)
      }
    }
    running = false
    if (again) {
      again = false
      turn()
    } else next()
  }

  function next() {
    if (signal.aborted || paused || document.hidden || timer !== null) return
    timer = setTimeout(turn, seconds * 1000 * Math.min(2 ** failures, SLOWEST))
  }

  function state() {
    onState(paused ? "paused" : document.hidden ? "hidden" : "live")
  }

  function seen() {
    clearTimeout(timer)
    timer = null
    if (!paused) state()
    if (!document.hidden && !paused) turn()
  }

  document.addEventListener("visibilitychange", seen, { signal })
  signal.addEventListener("abort", () => clearTimeout(timer))
  turn()
  return {
    get paused() { return paused },
    pause() {
      paused = true
      clearTimeout(timer)
      timer = null
      state()
    },
    resume() {
      paused = false
      state()
      turn()
    },
    now: turn,
    every(others) {
      seconds = others
    },
  }
}
