package ui

import (
	"fmt"
	"html/template"
	"regexp"
	"strings"
)

// typeOf names what a schema takes.
func typeOf(schema tree) template.HTML {
	if name := schema.reference(); name != "" {
		return template.HTML(fmt.Sprintf(`<a href="#%s">%[1]s</a>`, template.HTMLEscapeString(name))) //nolint:gosec // escaped
	}
	if items := schema.at("items"); items.exists() {
		return "list of " + typeOf(items)
	}
	var kinds []template.HTML
	for _, one := range schema.at("oneOf").list() {
		kinds = append(kinds, typeOf(one))
	}
	for _, value := range schema.at("enum").list() {
		kinds = append(kinds, "<code>"+escape(fmt.Sprint(value.value))+"</code>")
	}
	if value := schema.at("const"); value.exists() {
		kinds = append(kinds, "<code>"+escape(fmt.Sprint(value.value))+"</code>")
	}
	if kinds != nil {
		return join(kinds, " or ")
	}
	for name := range schema.at("properties").members() {
		kinds = append(kinds, "<code>"+escape(name)+"</code>")
	}
	if kinds != nil {
		return "object of " + join(kinds, ", ")
	}
	return escape(schema.text("type") + bounds(schema))
}

func bounds(schema tree) string {
	least, most, usual := schema.text("minimum"), schema.text("maximum"), schema.text("default")
	b := ""
	switch {
	case most != "":
		b = ", " + least + " to " + most
	case least != "":
		b = ", " + least + " or more"
	}
	if usual != "" {
		b += "; " + usual + " if not given"
	}
	return b
}

func join(parts []template.HTML, with template.HTML) (all template.HTML) {
	for i, p := range parts {
		if i > 0 {
			all += with
		}
		all += p
	}
	return all
}

func escape(text string) template.HTML { return template.HTML(template.HTMLEscapeString(text)) } //nolint:gosec // escaped

var (
	quoted = regexp.MustCompile("`([^`]+)`")
	linked = regexp.MustCompile(`&lt;(https://[^&]+)&gt;`)
)

// prose is a description: paragraphs, `code` and <https://links>.
func prose(text string) template.HTML {
	var all []template.HTML
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		safe := linked.ReplaceAllString(quoted.ReplaceAllString(template.HTMLEscapeString(paragraph), "<code>$1</code>"), `<a href="$1">$1</a>`)
		all = append(all, template.HTML(safe)) //nolint:gosec // escaped before anything was added
	}
	return join(all, "</p><p>")
}
