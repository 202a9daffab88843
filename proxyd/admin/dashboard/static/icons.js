// Small pictures beside words. None carries a meaning by itself: all are hidden from screen readers.

import { svg } from "./dom.js"

const PATHS = {
  gauge: "M3 13a7 7 0 1 1 14 0M10 13l3.500-4M10 13h.01",
  route: "M5 4v6a3 3 0 0 0 3 3h7M12 10l3 3-3 3M5 4h.01",
  service: "M3 5h14v4H3zM3 11h14v4H3zM6 7h.01M6 13h.01",
  consumer: "M10 9.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM4 16.500c0-3 2.700-5 6-5s6 2 6 5",
  upstream: "M10 16V4M5 9l5-5 5 5M4 16h12",
  plugin: "M7 3v4M13 3v4M5 7h10v3a5 5 0 0 1-10 0zM10 15v3",
  key: "M7 13a3.500 3.500 0 1 1 3.300-4.600H17v3h-2v2h-3v-2h-1.700A3.500 3.500 0 0 1 7 13zM6.500 9.500h.01",
  pulse: "M2 10h4l2-6 4 12 2-6h4",
  audit: "M5 3h7l3 3v11H5zM8 9h4M8 12h4M8 6h1",
  certificate: "M4 3h12v9H4zM7 6h6M7 9h3M12 12v5l2-1.500 2 1.500v-5",
  settings: "M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4",
  search: "M9 14.500a5.500 5.500 0 1 0 0-11 5.500 5.500 0 0 0 0 11zM13 13l4 4",
  plus: "M10 4v12M4 10h12",
  close: "M5 5l10 10M15 5L5 15",
  menu: "M3 5h14M3 10h14M3 15h14",
  check: "M4 10.500l4 4 8-9",
  warning: "M10 3l8 14H2zM10 8v4M10 14.500h.01",
  error: "M10 18a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM10 6v5M10 13.500h.01",
  info: "M10 18a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM10 9v5M10 6.500h.01",
  play: "M6 4l10 6-10 6z",
  pause: "M7 4v12M13 4v12",
  copy: "M7 7h9v9H7zM13 7V4H4v9h3",
  edit: "M4 16l1-4 8-8 3 3-8 8zM11 6l3 3",
  trash: "M4 6h12M8 6V4h4v2M6 6l1 10h6l1-10",
  refresh: "M16 10a6 6 0 1 1-2-4.500M16 3v4h-4",
  undo: "M4 8h8a4 4 0 0 1 0 8H8M7 5L4 8l3 3",
  sun: "M10 13.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM10 2v2M10 16v2M2 10h2M16 10h2M4.300 4.300l1.400 1.400M14.300 14.300l1.400 1.400M4.300 15.700l1.400-1.400M14.300 5.700l1.400-1.400",
  moon: "M16 11.500A6.500 6.500 0 0 1 8.500 4a6.500 6.500 0 1 0 7.500 7.500z",
  screen: "M3 4h14v9H3zM7 17h6M10 13v4",
  logout: "M8 4H4v12h4M9 10h8M14 7l3 3-3 3",
  right: "M8 5l5 5-5 5",
  up: "M5 12l5-5 5 5",
  down: "M5 8l5 5 5-5",
}

/** Return an icon by its name. */
export function icon(name, className = "") {
  const path = svg("path", { d: PATHS[name] ?? PATHS.info })
  return svg("svg", { class: `icon ${className}`.trim(), viewBox: "0 0 20 20", "aria-hidden": "true", focusable: "false" }, path)
}
