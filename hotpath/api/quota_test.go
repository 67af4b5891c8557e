package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"plusone/hotpath/like"
)

// rationed makes every like one of a quota of 3 an hour, of which left are left.
func rationed(left *int) func(*Options) {
	return func(o *Options) {
		o.Quota = like.Quota{Likes: 3, Window: time.Hour}
		o.Limits, _ = NewLimits(LimitOptions{User: Limit{Rate: 1, Burst: 50}, Shared: &together{}, Secret: testSecret, Log: o.Log})
		m := o.Counter.(*memory)
		m.units = func(op like.Op, r *like.Result) {
			if op.Want == like.NotLiked {
				return
			}
			r.Units = like.Units{Known: true, Left: max(*left-1, 0), Ends: time.Now().Add(29*time.Minute + 30*time.Second)}
			if *left == 0 {
				*r = like.Result{Err: like.ErrQuota, Units: r.Units}
			} else {
				*left--
			}
		}
	}
}

func TestALikeTooManyIsToldWhenToComeBack(t *testing.T) {
	left := 2
	s := start(t, rationed(&left))
	for n := 1; n >= 0; n-- {
		a := s.do(t, "PUT", fmt.Sprintf("/v1/items/a%d/like", n), "", as("u"))
		if a.status != 200 || !strings.HasSuffix(a.header.Get("RateLimit"), fmt.Sprintf(`, "quota";r=%d;t=1770`, n)) ||
			a.header.Get("RateLimit-Policy") != `"user";q=50;w=50, "quota";q=3;w=3600` {
			t.Fatalf("%d %v", a.status, a.header)
		}
	}
	for _, path := range []string{"PUT /v1/items/b/like", "POST /v1/items/b/like/toggle"} {
		method, target, _ := strings.Cut(path, " ")
		a := s.do(t, method, target, "", as("u"))
		p := wantProblem(t, a, 429, "quota_exceeded")
		if a.header.Get("Retry-After") != "1770" || !strings.HasSuffix(a.header.Get("RateLimit"), `"quota";r=0;t=1770`) ||
			!strings.Contains(p["detail"].(string), "too many likes of this user") {
			t.Errorf("%v %s", a.header, a.body)
		}
	}
	if a := s.do(t, "DELETE", "/v1/items/a0/like", "", as("u")); a.status != 200 || strings.Contains(a.header.Get("RateLimit"), "quota") {
		t.Errorf("an unlike: %d %v", a.status, a.header)
	}
}

func TestAmongManyOpsEachLikeTooManyIsToldForItself(t *testing.T) {
	left := 1
	s := start(t, rationed(&left))
	ops := `{"ops":[{"item":"a","user":"u","liked":true},{"item":"b","user":"u","liked":true},{"item":"a","user":"u","liked":false}]}`
	for range 2 {
		a := s.do(t, "POST", "/v1/likes", ops, asServer())
		var got struct {
			Results []struct {
				Changed bool
				Error   *struct{ Code, Detail string }
			}
		}
		if err := json.Unmarshal(a.body, &got); err != nil || a.status != 200 || len(got.Results) != 3 {
			t.Fatalf("%d %s: %v", a.status, a.body, err)
		}
		if e := got.Results[1].Error; e == nil || e.Code != "quota_exceeded" || got.Results[2].Error != nil {
			t.Errorf("%s", a.body)
		}
	}
}
