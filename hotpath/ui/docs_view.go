package ui

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// docsPage is what the template shows: text that is safe as it is, and strings.
type docsPage struct {
	Title, Summary string
	Intro          template.HTML
	Credentials    []field
	Groups         []group
	Shapes         []shape
}

// group are the operations of a tag.
type group struct {
	Name       string
	Text       template.HTML
	Operations []operation
}

type operation struct {
	ID, Method, Path, Summary string
	Text                      template.HTML
	By                        []string // whoever shows one of these
	Parameters                []field
	Body                      *content
	Curl                      string
	Answers, Problems         []answer
}

// field is a parameter, or a member of an object.
type field struct {
	Name     string
	Where    string
	Type     template.HTML
	Required bool
	Text     template.HTML
}

// content is the body of a request or an answer.
type content struct {
	Type    template.HTML
	Example string
}

type answer struct {
	Status string
	Text   template.HTML
	content
}

// shape is a schema that others name.
type shape struct {
	Name    string
	Text    template.HTML
	Type    template.HTML
	Fields  []field
	Example string
}

func newDocsPage(root tree) *docsPage {
	info := root.at("info")
	p := &docsPage{Title: info.text("title"), Summary: info.text("summary"), Intro: prose(info.text("description"))}
	for name, scheme := range root.at("components", "securitySchemes").members() {
		p.Credentials = append(p.Credentials, field{Name: name, Where: whereOf(scheme), Text: prose(scheme.text("description"))})
	}
	for _, tag := range root.at("tags").list() {
		g := group{Name: tag.text("name"), Text: prose(tag.text("description"))}
		for path, item := range root.at("paths").members() {
			g.add(path, item)
		}
		for name, item := range root.at("webhooks").members() {
			g.add(name, item)
		}
		p.Groups = append(p.Groups, g)
	}
	for name, schema := range root.at("components", "schemas").members() {
		p.Shapes = append(p.Shapes, newShape(name, schema))
	}
	return p
}

// whereOf says where a credential is shown.
func whereOf(scheme tree) string {
	if scheme.text("type") == "http" {
		return "Authorization: Bearer …"
	}
	return scheme.text("in") + " " + scheme.text("name")
}

// add adds those operations of a path that have the group's tag.
func (g *group) add(path string, item tree) {
	for _, method := range []string{"get", "put", "post", "delete"} {
		op := item.at(method)
		if !op.exists() || op.at("tags").list()[0].value != g.Name {
			continue
		}
		g.Operations = append(g.Operations, newOperation(method, path, item, op))
	}
}

func newOperation(method, path string, item, op tree) operation {
	o := operation{
		ID: op.text("operationId"), Method: strings.ToUpper(method), Path: path,
		Summary: op.text("summary"), Text: prose(op.text("description")), By: credentials(op),
	}
	for _, p := range slices.Concat(item.at("parameters").list(), op.at("parameters").list()) {
		p = p.target()
		o.Parameters = append(o.Parameters, field{
			p.text("name"), p.text("in"), typeOf(p.at("schema")), p.text("required") == "true", prose(p.text("description")),
		})
	}
	if body := op.at("requestBody"); body.exists() {
		c := newContent(body)
		o.Body = &c
	}
	for status, a := range op.at("responses").members() {
		if status == "default" {
			status = "others"
		}
		answer := answer{status, prose(a.target().text("description")), newContent(a)}
		if strings.HasPrefix(string(answer.Type), problemType) {
			o.Problems = append(o.Problems, answer)
		} else {
			o.Answers = append(o.Answers, answer)
		}
	}
	slices.SortFunc(o.Problems, func(a, b answer) int { return strings.Compare(a.Status, b.Status) })
	if strings.HasPrefix(path, "/") {
		o.Curl = curl(o.Method, path, item, op)
	}
	return o
}

// credentials are the ways to show who asks, any of which will do.
func credentials(op tree) (ways []string) {
	for _, way := range op.at("security").list() {
		var names []string
		for name := range way.members() {
			names = append(names, name)
		}
		if names == nil {
			names = []string{"nobody"}
		}
		ways = append(ways, strings.Join(names, " + "))
	}
	return ways
}

const problemType = "application/problem+json"

// newContent is the first media type of a body.
func newContent(body tree) content {
	for media, c := range body.at("content").members() {
		schema := c.at("schema")
		t := typeOf(schema)
		if media != "application/json" {
			t = escape(media) + ": " + t
		}
		return content{t, example(c, schema)}
	}
	return content{}
}

// example is the one that is given beside a schema or in it.
func example(beside, schema tree) string {
	if text, ok := beside.at("example").value.(string); ok {
		return strings.TrimSpace(text)
	}
	if all := schema.target().at("examples").list(); len(all) > 0 {
		return all[0].json()
	}
	return ""
}

// curl is a command that can be tried with plusone dev.
func curl(method, path string, item, op tree) string {
	b := "curl"
	if method != "GET" && !op.at("requestBody").exists() {
		b += " -X " + method
	}
	if ways := credentials(op); slices.Contains(ways, "user") && ways[0] != "nobody" {
		b += " -H 'X-User-ID: alice'"
	} else if slices.Contains(ways, "serverKey") && ways[0] != "nobody" {
		b += ` -H "Authorization: Bearer $(cat .plusone/server-key)"`
	}
	if body := op.at("requestBody"); body.exists() {
		b += " --json '" + strings.NewReplacer("\n", "", "  ", "").Replace(newContent(body).Example) + "'"
	}
	query := ""
	for _, p := range slices.Concat(item.at("parameters").list(), op.at("parameters").list()) {
		p = p.target()
		name, value := p.text("name"), p.text("example")
		if value == "" {
			value = strings.Trim(example(p, p.at("schema")), `"`)
		}
		switch path = strings.ReplaceAll(path, "{"+name+"}", value); {
		case p.text("in") == "query" && p.text("required") == "true":
			for _, v := range p.at("example").list() {
				query += "&" + name + "=" + fmt.Sprint(v.value)
			}
		}
	}
	return b + " 'http://127.0.0.1:8080" + path + strings.Replace(query, "&", "?", 1) + "'"
}

func newShape(name string, schema tree) shape {
	s := shape{Name: name, Text: prose(schema.text("description")), Example: example(tree{}, schema)}
	var required []string
	for _, r := range schema.at("required").list() {
		required = append(required, fmt.Sprint(r.value))
	}
	for name, member := range schema.at("properties").members() {
		s.Fields = append(s.Fields, field{
			Name: name, Type: typeOf(member), Required: slices.Contains(required, name), Text: prose(member.text("description")),
		})
	}
	if s.Fields == nil {
		s.Type = typeOf(schema)
	}
	return s
}
