// Scales: where a value stands, and which values are written beside the axis. They keep still while figures move.

const STEPS = [1, 2, 2.5, 5, 10]
const PATIENCE = 20 // updates that a smaller scale has to do for, before it is taken

/** Return a step of 1, 2, 2.5 or 5 times a power of ten, such that about `count` of them reach `max`. */
export function niceStep(max, count) {
  const rough = max / count
  const power = 10 ** Math.floor(Math.log10(rough))
  return STEPS.find((step) => step * power >= rough * 0.999) * power
}

/** A linear scale from 0: grows at once, shrinks only when less has been enough for a while. */
export class Linear {
  constructor({ least = 1, count = 4 } = {}) {
    this.count = count
    this.least = least
    this.reset()
  }

  /** Make room for a value. */
  fit(value) {
    const step = niceStep(Math.max(value * 1.05, this.least), this.count)
    const wanted = step * Math.ceil(Math.max(value * 1.05, this.least) / step - 1e-9)
    this.small = wanted < this.max * 0.6 ? this.small + 1 : 0
    if (wanted > this.max || this.small > PATIENCE) {
      this.max = wanted
      this.step = step
      this.small = 0
    }
  }

  /** Forget what there was: other figures follow. */
  reset() {
    this.max = 0
    this.small = 0
    this.fit(0)
  }

  /** Return the place of a value, from 0 at the bottom to 1. */
  at(value) {
    return Math.min(value / this.max, 1)
  }

  ticks() {
    const count = Math.round(this.max / this.step)
    return Array.from({ length: count + 1 }, (_, at) => at * this.step)
  }
}

/** A logarithmic scale between powers of ten; what is below the lowest stands on the axis. */
export class Logarithmic {
  constructor({ from, to }) {
    this.from = from
    this.to = to
  }

  fit(value) {
    while (value > this.to) this.to *= 10
  }

  reset() {}

  at(value) {
    if (value <= this.from) return 0
    return Math.min(Math.log(value / this.from) / Math.log(this.to / this.from), 1)
  }

  ticks() {
    const found = []
    for (let value = this.from; value <= this.to * 1.001; value *= 10) found.push(value)
    return found
  }
}

const TIME_STEPS = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600]

/** Return the times that are written under a chart: whole minutes or hours of this place's clock. */
export function timeTicks(start, end, count) {
  const step = TIME_STEPS.find((one) => (end - start) / one <= count) ?? 43200
  const shift = new Date(end * 1000).getTimezoneOffset() * 60
  const found = []
  for (let at = Math.ceil((start - shift) / step) * step + shift; at <= end; at += step) found.push(at)
  return found
}
