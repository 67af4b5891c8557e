package ui

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/goccy/go-yaml"
)

// tree is a part of a document that is read in the order in which it is written.
// What is not there is an empty tree.
type tree struct {
	root, value any
}

func readTree(document []byte) (tree, error) {
	var root any
	if err := yaml.UnmarshalWithOptions(document, &root, yaml.UseOrderedMap()); err != nil {
		return tree{}, err
	}
	return tree{root, root}, nil
}

// at is the member that names lead to; references on the way are followed.
func (t tree) at(names ...string) tree {
	for _, name := range names {
		value := any(nil)
		for key, member := range t.target().members() {
			if key == name {
				value = member.value
			}
		}
		t.value = value
	}
	return t
}

func (t tree) exists() bool { return t.value != nil }

func (t tree) text(name string) string {
	value := t.at(name).value
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// members are those of an object.
func (t tree) members() iter.Seq2[string, tree] {
	return func(yield func(string, tree) bool) {
		object, _ := t.value.(yaml.MapSlice)
		for _, item := range object {
			if !yield(fmt.Sprint(item.Key), tree{t.root, item.Value}) {
				return
			}
		}
	}
}

// list are the elements of an array.
func (t tree) list() []tree {
	array, _ := t.value.([]any)
	all := make([]tree, len(array))
	for i, value := range array {
		all[i] = tree{t.root, value}
	}
	return all
}

// reference is the name of the component that t refers to, or "".
func (t tree) reference() string {
	for key, value := range t.members() {
		if key == "$ref" {
			path := fmt.Sprint(value.value)
			return path[strings.LastIndexByte(path, '/')+1:]
		}
	}
	return ""
}

// target is what t refers to, or t itself.
func (t tree) target() tree {
	for key, value := range t.members() {
		if key == "$ref" {
			path := strings.Split(fmt.Sprint(value.value), "/")[1:] // after the #
			return tree{t.root, t.root}.at(path...).target()
		}
	}
	return t
}

// json spells t as it was written.
func (t tree) json() string {
	var b strings.Builder
	t.spell(&b, "\n")
	return b.String()
}

// spell writes t; line is a line break and how far the line is indented.
func (t tree) spell(b *strings.Builder, line string) {
	switch value := t.value.(type) {
	case yaml.MapSlice:
		b.WriteByte('{')
		for i, item := range value {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, "%s  %q: ", line, item.Key)
			tree{t.root, item.Value}.spell(b, line+"  ")
		}
		b.WriteString(line + "}")
	case []any:
		b.WriteByte('[')
		for i, element := range value {
			if i > 0 {
				b.WriteString(", ")
			}
			tree{t.root, element}.spell(b, line)
		}
		b.WriteByte(']')
	default:
		text, _ := json.Marshal(value) // a scalar
		b.Write(text)
	}
}
