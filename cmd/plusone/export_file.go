package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
	"plusone/tasks/transfer"
)

// output is where an export goes, and how far it is. Beside a file stands another one,
// which tells that as long as the export has not ended: up to there the file is whole.
type output struct {
	file  *os.File
	name  string // "": the standard output
	state exportState
}

// exportState is what that file holds.
type exportState struct {
	What    string             `json:"what"` // likes or votes, and the format
	Likes   int64              `json:"likes"`
	Bytes   int64              `json:"bytes"`
	After   ledger.ExportPlace `json:"after"`
	Moments []exportMoment     `json:"moments"` // one, or more after an export was taken up again
}

// exportMoment is a moment of the ledger: UpTo has the id of the last entry of each
// shard's log that is in it.
type exportMoment struct {
	At   time.Time      `json:"at"`
	UpTo map[int]string `json:"up_to"`
}

func momentOf(marks map[int]like.Version) exportMoment {
	m := exportMoment{At: time.Now().UTC(), UpTo: map[int]string{}}
	for shard, v := range marks {
		m.UpTo[shard] = v.String()
	}
	return m
}

// openOutput opens the file of a name: a new one, or one in which an export of the
// same things was cut off, behind what of it is whole.
func openOutput(name, what string, restart bool) (*output, error) {
	if name == "-" {
		return &output{file: os.Stdout}, nil
	}
	to := &output{name: name}
	going, err := to.takeUp(what, restart)
	if err != nil {
		return nil, err
	}
	_, err = os.Stat(name)
	isNew := errors.Is(err, fs.ErrNotExist)
	switch {
	case isNew && to.state.Bytes > 0:
		return nil, to.lost()
	case !isNew && !going && !restart:
		return nil, usage("%s is there already: name another file, or say --restart", name)
	}
	if to.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, usage("%w", err)
	}
	if err = to.begin(); err != nil {
		if isNew {
			err = errors.Join(err, os.Remove(name))
		}
		return nil, errors.Join(err, to.file.Close())
	}
	return to, nil
}

// takeUp reads how far an export was that is to go on, and reports whether there is one.
// What is begun anew is forgotten before its file is touched.
func (o *output) takeUp(what string, restart bool) (bool, error) {
	if restart {
		o.state.What = what
		if err := os.Remove(o.stateName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, usage("%w", err)
		}
		return false, nil
	}
	text, err := os.ReadFile(o.stateName())
	if errors.Is(err, fs.ErrNotExist) {
		o.state.What = what
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &o.state)
	}
	if err != nil {
		return false, fmt.Errorf("%s can't be read, --restart begins anew: %w", o.stateName(), err)
	}
	if o.state.What != what {
		return false, usage("the export into %s that was cut off was of %s, not %s: ask for the same again, or say --restart",
			o.name, o.state.What, what)
	}
	return true, nil
}

func (o *output) lost() error {
	return usage("%s lacks what %s says that it has: --restart begins anew", o.name, o.stateName())
}

// begin puts the file to where it is whole, and keeps that: an export that is cut off at
// once can be taken up, too.
func (o *output) begin() error {
	info, err := o.file.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() < o.state.Bytes:
		return o.lost()
	}
	if err := o.file.Truncate(o.state.Bytes); err != nil {
		return err
	}
	if _, err := o.file.Seek(o.state.Bytes, io.SeekStart); err != nil {
		return err
	}
	return o.keep()
}

func (o *output) stateName() string { return o.name + ".unfinished" }

// note keeps how far it is, once the file has all of that.
func (o *output) note(w *transfer.Writer) (err error) {
	if o.state.Bytes, err = w.Flush(); err != nil || o.name == "" {
		return err
	}
	if err := o.file.Sync(); err != nil {
		return err
	}
	return o.keep()
}

func (o *output) keep() error {
	text, err := json.Marshal(o.state)
	if err != nil {
		return err
	}
	fresh := o.stateName() + ".new"
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		_ = os.Remove(fresh) // half of it is of no use, and in the way of the rest
		return err
	}
	return os.Rename(fresh, o.stateName())
}

// finish ends the file.
func (o *output) finish(w *transfer.Writer) error {
	if _, err := w.Flush(); err != nil || o.name == "" {
		return err
	}
	if err := o.file.Sync(); err != nil {
		return err
	}
	if err := os.Remove(o.stateName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (o *output) close() { _ = o.file.Close() } // what matters has been synced

// exportShow tells how far an export is.
type exportShow struct {
	out            io.Writer
	json, terminal bool
	began, shown   time.Time
	from           int64
}

func (s *exportShow) rate(n int64) int64 {
	return int64(float64(n-s.from) / max(time.Since(s.began).Seconds(), 0.001))
}

func (s *exportShow) progress(n int64) {
	if time.Since(s.shown) < time.Second {
		return
	}
	s.shown = time.Now()
	switch {
	case s.json:
		_ = json.NewEncoder(s.out).Encode(map[string]any{"likes": n, "rate": s.rate(n), "done": false})
	case s.terminal:
		_, _ = rewrite(s.out, fmt.Sprintf("%d exported, %d/s", n, s.rate(n)))
	}
}

func (s *exportShow) end(ctx context.Context, to *output, err error) error {
	if s.terminal {
		_, _ = fmt.Fprint(s.out, "\r\x1b[K")
	}
	n, how := to.state.Likes, "The same command goes on from there, with what is true by then."
	if to.name == "" {
		how = "Into a file it could be taken up again."
	}
	switch {
	case ctx.Err() != nil:
		_, _ = fmt.Fprintf(s.out, "Stopped behind %d. %s\n", n, how)
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("behind %d: %w\n%s", n, err, how)
	case s.json:
		return json.NewEncoder(s.out).Encode(map[string]any{"likes": n, "rate": s.rate(n), "done": true, "moments": to.state.Moments})
	}
	moments := make([]string, len(to.state.Moments))
	for i, m := range to.state.Moments {
		moments[i] = m.At.Local().Format(time.DateTime)
	}
	_, err = fmt.Fprintf(s.out, "%d exported, as Postgres had them at %s; %d/s.\n", n, strings.Join(moments, ", then at "), s.rate(n))
	return err
}
