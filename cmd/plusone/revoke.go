package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"plusone/cmd/internal/settings"
	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

type revokeCmd struct {
	Likes revokeLikesCmd `cmd:"" default:"withargs" help:"Take likes back; workers do it, and this command shows how far they are."`
	Undo  revokeUndoCmd  `cmd:"" help:"Return the likes that a revocation has taken and that nothing newer has happened to."`
	List  revokeListCmd  `cmd:"" help:"List revocations, the newest first."`
	Show  revokeShowCmd  `cmd:"" help:"Show one, and what was done to it by hand."`
}

type revokeLikesCmd struct {
	settings.Postgres

	User      []string `help:"A user's id; more than one may be given." placeholder:"ID"`
	UsersFile string   `help:"File with a user id per line; - is the standard input." placeholder:"FILE"`
	Item      []string `help:"Only likes of this item; more than one may be given." placeholder:"ID"`
	DryRun    bool     `help:"Only tell what there is."`
	Reason    string   `help:"Why; it is kept. Only --dry-run needs none."`
	By        string   `help:"Who; the user of this system, if it is not given." placeholder:"NAME"`
	JSON      bool     `name:"json" help:"As JSON, a line each second while it goes on."`
}

// Run takes likes back, or tells what there is.
func (c revokeLikesCmd) Run(ctx context.Context, out io.Writer) error {
	users, err := c.users()
	if err != nil {
		return err
	}
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		if c.DryRun {
			look, err := l.LookAtRevocation(ctx, users, c.Item)
			if err != nil {
				return err
			}
			return show(out, c.JSON, look, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%d users like %d items, %d likes. Nothing was changed; likes that are not in Postgres yet are not counted.\n", look.Users, look.Items, look.Likes)
				for _, t := range look.Top {
					_, _ = fmt.Fprintf(w, "%s\t%d of %d\n", t.Item, t.Likes, t.Of)
				}
			})
		}
		by, err := act{Reason: c.Reason, By: c.By}.by()
		if err != nil {
			return err
		}
		id, err := l.Revoke(ctx, users, c.Item, by)
		if err != nil {
			return err
		}
		return follow(ctx, l, id, out, c.JSON)
	})
}

// users are those of the flags and of the file.
func (c revokeLikesCmd) users() (users []string, err error) {
	users = c.User
	if c.UsersFile != "" {
		f := os.Stdin
		if c.UsersFile != "-" {
			if f, err = os.Open(c.UsersFile); err != nil {
				return nil, usage("--users-file: %w", err)
			}
			defer func() { _ = f.Close() }()
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if user := strings.TrimSpace(lines.Text()); user != "" {
				users = append(users, user)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, usage("--users-file: %w", err)
		}
	}
	if len(users) == 0 {
		return nil, usage("name users by --user or --users-file")
	}
	for _, u := range users {
		if err := like.CheckUser(u); err != nil {
			return nil, usage("%q: %w", u, err)
		}
	}
	for _, i := range c.Item {
		if err := like.CheckItem(i); err != nil {
			return nil, usage("%q: %w", i, err)
		}
	}
	return users, nil
}

type revokeUndoCmd struct {
	settings.Postgres
	act

	ID   string `arg:"" help:"The revocation."`
	JSON bool   `name:"json" help:"As JSON, a line each second while it goes on."`
}

// Run returns likes.
func (c revokeUndoCmd) Run(ctx context.Context, out io.Writer) error {
	by, err := c.by()
	if err != nil {
		return err
	}
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		if err := l.UndoRevocation(ctx, c.ID, by); err != nil {
			return noRevocation(err)
		}
		return follow(ctx, l, c.ID, out, c.JSON)
	})
}

type revokeListCmd struct {
	settings.Postgres

	Before string `help:"Only those before this one: the next page." placeholder:"ID"`
	Limit  int    `help:"How many." default:"50"`
	JSON   bool   `name:"json" help:"As JSON."`
}

// Run lists revocations.
func (c revokeListCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		found, err := l.Revocations(ctx, c.Before, c.Limit)
		if err != nil {
			return err
		}
		return show(out, c.JSON, map[string]any{"revocations": found}, func(w io.Writer) {
			for _, r := range found {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.ID, progress(r), r.Who, r.Reason)
			}
		})
	})
}

type revokeShowCmd struct {
	settings.Postgres

	ID   string `arg:"" help:"The revocation."`
	JSON bool   `name:"json" help:"As JSON."`
}

// Run shows a revocation.
func (c revokeShowCmd) Run(ctx context.Context, out io.Writer) error {
	return withLedger(ctx, c.Postgres, func(l *ledger.Ledger) error {
		r, err := l.Revocation(ctx, c.ID)
		if err != nil {
			return noRevocation(err)
		}
		return show(out, c.JSON, r, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", r.ID, progress(r))
			if len(r.Items) > 0 {
				_, _ = fmt.Fprintf(w, "items\t%s\n", strings.Join(r.Items, " "))
			}
			showActs(w, r.Acts)
		})
	})
}

// progress says in a line how far it is.
func progress(r ledger.Revocation) string {
	text := fmt.Sprintf("%s: %d of about %d likes of %d users taken back", r.State, r.Taken, r.Expected, r.Users)
	if r.State == ledger.RevocationUndoing || r.State == ledger.RevocationUndone {
		text += fmt.Sprintf(", %d returned, %d left as they are", r.Returned, r.Kept)
	}
	if r.LastError != "" {
		text += "; " + r.LastError
	}
	return text
}

// follow shows how far workers are, until it has ended: on a terminal in one line,
// else a line of JSON each second. Who stops looking stops nothing.
func follow(ctx context.Context, l *ledger.Ledger, id string, out io.Writer, asJSON bool) error {
	terminal := isTerminal(out) && !asJSON
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		r, err := l.Revocation(ctx, id)
		switch {
		case ctx.Err() != nil:
			return noLongerLooking(out, terminal, id)
		case err != nil:
			return fmt.Errorf("it goes on, plusone revoke show %s tells how far: %w", id, err)
		case terminal && r.EndedAt != nil: // this line stays, however long
			_, err = fmt.Fprintf(out, "\r\x1b[K%s  %s", id, progress(r))
		case terminal:
			_, err = rewrite(out, id+"  "+progress(r))
		default:
			err = json.NewEncoder(out).Encode(r)
		}
		if err == nil && r.EndedAt != nil {
			if terminal {
				_, err = fmt.Fprintln(out)
			}
			return err
		}
		select {
		case <-ctx.Done():
			return noLongerLooking(out, terminal, id)
		case <-tick.C:
		}
	}
}

func noLongerLooking(out io.Writer, terminal bool, id string) error {
	if terminal {
		_, _ = fmt.Fprintln(out) // below the line that was shown
	}
	return fmt.Errorf("stopped looking before it was done; it goes on: plusone revoke show %s", id)
}

// noRevocation says what a person can do about err.
func noRevocation(err error) error {
	switch {
	case errors.Is(err, like.ErrNotFound):
		return errors.New("there is no such revocation; those that have ended are forgotten after --revoke-keep")
	case errors.Is(err, ledger.ErrActRefused):
		return fmt.Errorf("%w; plusone revoke show tells it", err)
	}
	return err
}
