package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// loginView is what the form shows.
type loginView struct {
	Next  string
	Who   string
	Wrong string // why the last try did not do
}

func (c *Console) toLogin(w http.ResponseWriter, r *http.Request) {
	next := Root
	if r.Method == http.MethodGet {
		next = r.URL.RequestURI()
	}
	http.Redirect(w, r, Root+"login?next="+url.QueryEscape(next), http.StatusSeeOther)
}

func (c *Console) loginPage(w http.ResponseWriter, r *http.Request) {
	if c.opt.Token == nil || c.Knows(r) {
		http.Redirect(w, r, inside(r.FormValue("next")), http.StatusSeeOther)
		return
	}
	c.render(w, r, http.StatusOK, "login", "Log in", loginView{Next: inside(r.FormValue("next"))})
}

// login takes the token. A try that is right counts like any other.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	v := loginView{Next: inside(r.PostFormValue("next")), Who: nameOf(r.PostFormValue("who"))}
	switch {
	case c.opt.Token == nil:
		c.readOnly(w, r)
	case !c.attempts.allow(r, time.Now()):
		w.Header().Set("Retry-After", strconv.Itoa(int(triesEvery.Seconds())))
		v.Wrong = "Too many tries from your address. Wait for some seconds, then try again."
		c.render(w, r, http.StatusTooManyRequests, "login", "Log in", v)
	case !c.opt.Token.Is(r.PostFormValue("token")):
		v.Wrong = "That is not the token of this listener. Its hash is the setting internal-token."
		c.render(w, r, http.StatusForbidden, "login", "Log in", v)
	default:
		http.SetCookie(w, c.sessions.cookie(c.sessions.begin(v.Who), r))
		http.Redirect(w, r, v.Next, http.StatusSeeOther)
	}
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	is, ok := c.sessions.of(r)
	if ok && !c.sessions.fromOwnForm(r, is) {
		c.stale(w, r)
		return
	}
	if ok {
		c.sessions.end(is)
	}
	http.SetCookie(w, cookieOf("", time.Unix(1, 0), r))
	http.Redirect(w, r, Root+"login", http.StatusSeeOther)
}

// inside is where to go on, if that is a page of ours.
func inside(next string) string {
	if strings.HasPrefix(next, Root) || strings.HasPrefix(next, "/tasks/") {
		return next
	}
	return Root
}

// nameOf is a name that can be kept and shown on one line.
func nameOf(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, strings.TrimSpace(s))
	for len(s) > maxName {
		_, last := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-last]
	}
	return s
}
