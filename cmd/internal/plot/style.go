package plot

import "html/template"

// Style is what the charts need of a page's style sheet, which sets --dim and
// --line.
const Style template.CSS = `
svg { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif } svg text { fill: var(--dim) }
svg .axis { stroke: var(--line) } svg path { fill: none; stroke-width: 1.5; stroke-linejoin: round }
path.c0 { stroke: #1a7f4b } path.c1 { stroke: #c9302c } path.c2 { stroke: #4f74cc } path.c3 { stroke: #d98a1f }
path.c4 { stroke: #6b4fbb } path.c5 { stroke: #1796a6 } path.c6 { stroke: #b0487f } path.c7 { stroke: #7a7f3a }
rect.c0, svg tspan.c0 { fill: #1a7f4b } rect.c1, svg tspan.c1 { fill: #c9302c } rect.c2, svg tspan.c2 { fill: #4f74cc } rect.c3, svg tspan.c3 { fill: #d98a1f }
rect.c4, svg tspan.c4 { fill: #6b4fbb } rect.c5, svg tspan.c5 { fill: #1796a6 } rect.c6, svg tspan.c6 { fill: #b0487f } rect.c7, svg tspan.c7 { fill: #7a7f3a }
`
