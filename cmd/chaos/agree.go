package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"plusone/cmd/chaos/load"
	"plusone/cmd/chaos/model"
)

// agreeTime is for what still waits for participants at the end. A step that has
// failed often would come by itself minutes later, so an operator asks for it.
const agreeTime = time.Minute

// agreed: every like has been agreed to, or taken back.
func (p *proof) agreed(ctx context.Context) error {
	if p.house.Partners == nil {
		return nil
	}
	if _, err := p.house.Plusone(ctx, "saga", "retry", "--all", "--reason", "all faults are over", "--postgres-url", p.house.Postgres.URL()); err != nil {
		p.check("an operator can ask for what hangs", false, "%v", err)
	}
	if err := p.await(ctx, "every like has been agreed to or taken back", agreeTime, p.house.Agreed); err != nil {
		return err
	}
	states, err := p.house.Sagas(ctx)
	p.check("participants were asked, and misbehaved", err == nil && states["done"] > 0, "%v sagas, %d calls were mistreated", states, p.house.Partners.Upset())
	return err
}

// judged: what participants rejected is gone, what they agreed to is there, their
// own books say the same, and so do receipts. Judged likes are taken out of stored.
func (p *proof) judged(ctx context.Context, stored *model.Stored) error {
	if p.house.Partners == nil {
		return nil
	}
	differs, n, err := p.house.Partners.Compare(ctx, stored.Rows)
	if err != nil {
		return err
	}
	p.check("the books of participants agree with the ledger", len(differs) == 0, "%d entries, %d differ %s", n, len(differs), first(differs))

	judged := p.load.Judged()
	wrong, rejected := misjudged(stored.Take(load.JudgedPrefix), judged)
	for _, j := range judged {
		told, err := p.told(ctx, j)
		if err != nil {
			return err
		}
		if told != "" {
			wrong = append(wrong, told)
		}
	}
	p.check("what was rejected is gone, and nothing else", len(wrong) == 0 && rejected > 0, "%d of %d likes were rejected, %d wrong %s",
		rejected, len(judged), len(wrong), first(wrong))
	return nil
}

// misjudged tells where rows and counts are not those of the likes that stayed.
func misjudged(stored model.Stored, judged []*load.Judged) (wrong []string, rejected int) {
	stayed := map[string]int64{}
	for _, j := range judged {
		if j.Suspect {
			rejected++
		} else {
			stayed[j.Pair.Item]++
		}
		if stored.Rows[j.Pair].Liked == j.Suspect {
			wrong = append(wrong, fmt.Sprintf("%v: the ledger has %v", j.Pair, j.Suspect))
		}
	}
	for _, j := range judged {
		item := j.Pair.Item
		if n := stored.LedgerCounts[item]; n != stayed[item] {
			wrong = append(wrong, fmt.Sprintf("the ledger counts %d of %s, %d likes stayed", n, item, stayed[item]))
		}
		if r, ok := stored.Resident[item]; ok && r.Count != fmt.Sprint(stayed[item]) {
			wrong = append(wrong, fmt.Sprintf("Redis counts %s of %s, %d likes stayed", r.Count, item, stayed[item]))
		}
	}
	return wrong, rejected
}

// told compares what a receipt says with what became of the like.
func (p *proof) told(ctx context.Context, j *load.Judged) (wrong string, err error) {
	if j.Receipt == "" {
		return "", nil // its change was acknowledged to nobody
	}
	state, by, err := load.Told(ctx, p.house.Process("api-1").Public, j)
	if err != nil {
		return "", err
	}
	if j.Suspect != (state == "compensated" && by == "fraud") || !j.Suspect && state != "confirmed" {
		wrong = fmt.Sprintf("%v: receipt %s is %s %s", j.Pair, j.Receipt, state, by)
	}
	return wrong, nil
}

// first tells a few lines.
func first(lines []string) string { return strings.Join(lines[:min(len(lines), 5)], "; ") }
