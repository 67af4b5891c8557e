package tasks

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"plusone/hotpath/like"
)

func TestOnlyPublicAddressesAreDialled(t *testing.T) {
	for addr, public := range map[string]bool{
		"1.1.1.1": true, "93.184.216.34": true, "172.15.255.255": true, "172.32.0.1": true, "100.63.255.255": true,
		"100.128.0.1": true, "169.253.0.1": true, "223.255.255.255": true, "192.0.1.1": true,
		"2606:4700:4700::1111": true, "2a00:1450::1": true, "::ffff:1.1.1.1": true,

		"127.0.0.1": false, "127.255.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false, "172.16.0.1": false,
		"172.31.255.255": false, "192.168.1.1": false, "100.64.0.1": false, "100.100.100.200": false, "100.127.255.255": false,
		"169.254.169.254": false, "169.254.0.1": false, "192.0.0.192": false, "192.0.2.1": false, "198.18.0.1": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "239.1.1.1": false, "240.0.0.1": false,
		"255.255.255.255": false, "168.63.129.16": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "fc00::1": false, "fd00:ec2::254": false,
		"ff02::1": false, "2001:db8::1": false, "2001::1": false, "2002:7f00:1::": false, "3fff::1": false, "64:ff9b::7f00:1": false,
		"64:ff9b:1::a00:1": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:10.0.0.1": false,
		"::127.0.0.1": false, "100::1": false, "5f00::1": false,
	} {
		err := checkPublic(netip.MustParseAddr(addr))
		if (err == nil) != public || err != nil && !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestAReceiversNameTellsItsHostAndNotItsSecrets(t *testing.T) {
	a, b := Receiver{URL: "https://example.com:8443/hidden?hidden"}.Name(), Receiver{URL: "https://example.com:8443/other"}.Name()
	if !strings.HasPrefix(a, "example.com:8443-") || strings.Contains(a, "hidden") || a == b {
		t.Errorf("%s and %s", a, b)
	}
}

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

func testHook(t *testing.T, address string, dialer *net.Dialer) *Hook {
	t.Helper()
	w, err := newHook(Receiver{URL: address, Secrets: []string{testSecret}}, 5*time.Second, dialer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

// What counts is the address that is dialled: a name, a number in an odd
// spelling or a proxy of the environment lead to the same refusal.
func TestAPrivateReceiverIsRefusedHoweverItIsSpelt(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was reached") }))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTP_PROXY", srv.URL)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]", "[::]"} {
		w := testHook(t, "http://"+host+":"+u.Port()+"/hook?token=hidden", publicDialer(time.Second))
		r := w.send(t.Context(), like.Notification{ID: "ntf_1"})
		if r == nil || !errors.Is(r.why, ErrForbidden) {
			t.Errorf("%s: %+v", host, r)
		} else if strings.Contains(r.why.Error(), "hidden") {
			t.Errorf("the kept error tells the address: %v", r.why)
		}
	}
}

func TestAMessageSaysWhatChangedInJSONOfItsOwnShape(t *testing.T) {
	w := testHook(t, "https://example.com/", new(net.Dialer))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("east", 3600))
	req, err := w.news(t.Context(), like.Notification{Seq: 7, ID: "ntf_1", Item: "/a", Count: 5, Delta: -2, From: at.Add(-time.Second), To: at, State: "pending"})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"item.likes.changed","timestamp":"2026-01-02T02:04:05Z","data":{"seq":7,"id":"ntf_1","item":"/a","count":5,"delta":-2,"from":"2026-01-02T02:04:04Z","to":"2026-01-02T02:04:05Z"}}`
	if string(body) != want {
		t.Errorf("%s", body)
	}
}

func TestARetryAfterIsReadAndBounded(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for s, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "0": 0, "120": 2 * time.Minute, "3601": time.Hour, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:14:05 GMT": 10 * time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0, "Fri, 02 Jan 2099 03:00:00 GMT": time.Hour,
	} {
		if got := retryAfter(s, now); got != want {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	}
}

func TestSettingsThatCannotWorkAreRefusedAtOnce(t *testing.T) {
	good := func() NotifyConfig {
		return NotifyConfig{
			Receivers: []Receiver{{URL: "https://example.com/hook", Secrets: []string{testSecret}}},
			Window:    time.Second, Timeout: time.Second, Keep: 24 * time.Hour, Concurrency: 1, Ladder: []time.Duration{time.Minute},
		}
	}
	n, err := NewNotifier(nil, nil, prometheus.NewRegistry(), good())
	if err != nil || n.names[0] != good().Receivers[0].Name() {
		t.Fatal(n, err)
	}
	for want, spoil := range map[string]func(*NotifyConfig){
		"user or password": func(c *NotifyConfig) { c.Receivers[0].URL = "https://u:hidden@example.com" },
		"is no URL":        func(c *NotifyConfig) { c.Receivers[0].URL = "https://hidden%zz" },
		"must be http":     func(c *NotifyConfig) { c.Receivers[0].URL = "file:///hidden" },
		"receiver unknown": func(c *NotifyConfig) { c.Receivers[0].URL = "https://%00hidden" },
		"https://host":     func(c *NotifyConfig) { c.Receivers[0].URL = "https:///hidden" },
		"must be signed":   func(c *NotifyConfig) { c.Receivers[0].Secrets = nil },
		"secret 2 of 2":    func(c *NotifyConfig) { c.Receivers[0].Secrets = []string{testSecret, "hidden"} },
		"secret 1 of 1":    func(c *NotifyConfig) { c.Receivers[0].Secrets = []string{"whsec_aGlkZGVu"} },
		"is there twice":   func(c *NotifyConfig) { c.Receivers = append(c.Receivers, c.Receivers[0]) },
		"step 3":           func(c *NotifyConfig) { c.Ladder = []time.Duration{1, 2, 2} },
		"kept longer":      func(c *NotifyConfig) { c.Keep = time.Minute },
		"the window":       func(c *NotifyConfig) { c.Window = 0 },
		"the timeout":      func(c *NotifyConfig) { c.Timeout = 0 },
		"the concurrency":  func(c *NotifyConfig) { c.Concurrency = 0 },
	} {
		cfg := good()
		spoil(&cfg)
		_, err := NewNotifier(nil, nil, prometheus.NewRegistry(), cfg)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
