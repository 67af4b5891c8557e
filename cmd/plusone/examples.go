package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// examples end the help of each command: lines that can be typed as they are, with
// settings as they may be.
var examples = map[string][]string{
	"dev": {
		"plusone dev",
		"plusone dev --data /tmp/likes --listen 127.0.0.1:0   # a free port, printed at the start",
		"plusone dev --auth cookie --quota 100/1h",
	},
	"serve": {
		"plusone serve --redis-url redis://127.0.0.1/0 --postgres-url postgres://plusone@127.0.0.1/plusone",
		"plusone serve --config /etc/plusone/plusone.yaml     # keys are flag names: redis-url, quota, …",
		"plusone serve --auth jwt --jwks-url https://id.example/keys --jwt-algorithms RS256 --jwt-audience likes",
		"plusone serve --webhook-url https://shop.example/likes --webhook-secret whsec_$(openssl rand -base64 32)",
	},
	"api":                 {"plusone api --config plusone.yaml --listen 0.0.0.0:8080 --user-rate 5"},
	"worker":              {"plusone worker --config plusone.yaml --internal-listen 127.0.0.1:9091"},
	"reconcile":           {"plusone reconcile --config plusone.yaml --internal-listen 127.0.0.1:9092", "plusone reconcile --once --dry-run --json           # what differs now, repairing nothing"},
	"erase":               {"plusone erase --user alice --dry-run", "plusone erase --user alice --wait 5m --json"},
	"saga list":           {"plusone saga list --state stuck", "plusone saga list --participant fraud --limit 10 --json"},
	"saga show":           {"plusone saga show sag_3-1795298400000-0-5f2b8e1c"},
	"saga retry":          {`plusone saga retry --all --reason "points is back"`},
	"saga compensate":     {`plusone saga compensate sag_3-1795298400000-0-5f2b8e1c --reason "fraud, by hand"`},
	"saga complete":       {`plusone saga complete sag_3-1795298400000-0-5f2b8e1c --reason "points has it in its books"`},
	"item freeze":         {`plusone item freeze /posts/1 /posts/2 --reason "vote is over"`},
	"item unfreeze":       {`plusone item unfreeze /posts/1 --reason "by mistake"`},
	"item reconcile":      {`plusone item reconcile /posts/1 --reason "somebody complained"`},
	"notification list":   {"plusone notification list --state exhausted"},
	"notification show":   {"plusone notification show 7 --json"},
	"notification resend": {`plusone notification resend 7 --reason "the receiver is back"`},
	"item show":           {"plusone item show /posts/1"},
	"item list":           {"plusone item list --limit 10 --json"},
	"revoke likes":        {`plusone revoke --user mallory --dry-run --reason "bots"`, `plusone revoke --users-file users.txt --reason "bots"`},
	"revoke undo":         {`plusone revoke undo rev_1795298400000-5f2b8e1c90ab --reason "they were people"`},
	"revoke list":         {"plusone revoke list"},
	"revoke show":         {"plusone revoke show rev_1795298400000-5f2b8e1c90ab --json"},
	"import": {
		"plusone import likes.csv.gz --dry-run                # columns: item,user and, if you have them, liked,liked_at",
		"plusone import votes.csv --columns item=post_id,user=member_id,liked_at=created_at",
		`plusone import --from-postgres postgres://old.example/app --key id --query "select id, post_id as item, user_id as user, created_at as liked_at from likes"`,
	},
	"export": {
		"plusone export likes.ndjson.gz                       # or .csv; import takes it",
		"plusone export --wait 1m > likes.ndjson              # with all that was accepted until now",
	},
	"token key":        {"plusone token key shop"},
	"token jwt":        {"plusone token jwt alice --jwt-secret-file secret --ttl 1h"},
	"dead-letter list": {"plusone dead-letter list --json"},
	"dead-letter show": {"plusone dead-letter show 7"},
	"dead-letter retry": {
		`plusone dead-letter retry 7 --reason "the column is wider now"`,
	},
	"dead-letter drop": {`plusone dead-letter drop 7 --reason "a test"`},
	"repairs list":     {"plusone repairs list --limit 20", "plusone repairs list --item /posts/1 --json"},
	"migrate up":       {"plusone migrate --postgres-url postgres://plusone@127.0.0.1/plusone"},
	"migrate status":   {"plusone migrate status --config plusone.yaml"},
	"migrate shards":   {"plusone migrate shards 32 --config plusone.yaml    # while a worker runs; then start everything anew"},
	"doctor":           {"plusone doctor --config plusone.yaml", "plusone doctor --json | jq '.findings[] | select(.level != \"ok\")'"},
	"health":           {"plusone health", "plusone health --internal-listen 127.0.0.1:9091 --internal-token-file /run/secrets/token"},
	"config print":     {"plusone config print --config plusone.yaml", "plusone config print --json | jq '.[] | select(.source != \"default\")'"},
	"config check":     {"plusone config check --config plusone.yaml && systemctl restart plusone"},
	"version":          {"plusone version", "plusone version --json", "plusone version --assets"},
	"completion": {
		"source <(plusone completion bash)                    # in ~/.bashrc; zsh: the same, with zsh, in ~/.zshrc",
		"plusone completion fish > ~/.config/fish/completions/plusone.fish",
	},
}

// addExamples gives each command its examples.
func addExamples(app *kong.Kong) error {
	return kong.Visit(app.Model, func(at kong.Visitable, next kong.Next) error {
		if n, ok := at.(*kong.Node); ok && n.Type == kong.CommandNode {
			if lines := examples[n.Path()]; len(lines) > 0 {
				n.Detail = fmt.Sprintf("Examples:\n\n\t%s\n", strings.Join(lines, "\n\t"))
			}
		}
		return next(nil)
	})
}
