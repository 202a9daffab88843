// Numbers and times as people read them. What is not known is a dash.

const NONE = "–"
const compactUnits = [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]
const byteUnits = [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]
const LEAST = 0.001 // that is written
const ROUNDED = 0.9995 // of a unit is written as one

const known = (value) => value !== null && value !== undefined && Number.isFinite(value)

/** 1234567 -> "1,234,567". */
export const integer = (value) => (known(value) ? Math.round(value).toLocaleString("en") : NONE)

/** 1234 -> "1.23k", 12.34 -> "12.3"; three digits that count. */
export function compact(value) {
  if (!known(value)) return NONE
  for (const [unit, size] of compactUnits) if (Math.abs(value) >= size * ROUNDED) return `${digits(value / size)}${unit}`
  return digits(value)
}

function digits(value) {
  const size = Math.abs(value)
  if (size === 0) return "0"
  if (size < LEAST / 2) return `< ${LEAST}`
  const places = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 2 : 3
  return String(Number(value.toFixed(places)))
}

/** Requests per second. */
export const rate = (value) => (known(value) ? `${compact(value)}/s` : NONE)

/** Seconds: 0.00042 -> "0.42 ms", 0.25 -> "250 ms", 3.2 -> "3.2 s", 90 -> "1.5 min". */
export function seconds(value) {
  if (!known(value)) return NONE
  if (value === 0) return "0 ms"
  if (Math.abs(value) < ROUNDED) return `${digits(value * 1000)} ms`
  if (Math.abs(value) < 90) return `${digits(value)} s`
  return `${digits(value / 60)} min`
}

/** 0.0123 -> "1.23 %". */
export const percent = (value) => (known(value) ? `${digits(value * 100)} %` : NONE)

/** Bytes, by 1024. */
export function bytes(value) {
  if (!known(value)) return NONE
  for (const [unit, size] of byteUnits) {
    if (Math.abs(value) >= size * ROUNDED) return `${digits(value / size)} ${unit}`
  }
  return `${Math.round(value)} B`
}

/** How long something takes or has taken: 200000 -> "2 d 7 h". */
export function duration(value) {
  if (!known(value)) return NONE
  const whole = Math.max(0, Math.floor(value))
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]
  const first = parts.findIndex(([, size]) => whole >= size)
  if (first < 0) return "0 s"
  const [unit, size] = parts[first]
  const rest = parts[first + 1] ? Math.floor((whole % size) / parts[first + 1][1]) : 0
  return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${parts[first + 1][0]}` : ""}`
}

/** When something was, from now: "12 s ago", "in 3 d". `at` is seconds since the epoch. */
export function ago(at, now = Date.now() / 1000) {
  if (!known(at) || at <= 0) return NONE
  const gone = now - at
  if (Math.abs(gone) < 2) return "just now"
  return gone >= 0 ? `${duration(gone)} ago` : `in ${duration(-gone)}`
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" })
const clockShort = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" })
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" })
const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" })

/** A time of the day, with or without seconds. */
export const timeOfDay = (at, withSeconds = true) => (known(at) ? (withSeconds ? clock : clockShort).format(at * 1000) : NONE)

/** Date and time. */
export const dateTime = (at) => (known(at) && at > 0 ? whole.format(at * 1000) : NONE)

/** The date. */
export const dateOnly = (at) => (known(at) && at > 0 ? date.format(at * 1000) : NONE)
