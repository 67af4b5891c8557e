package barrier_test

import (
	"testing"

	"plusone/scripts/dev/private/privatetest"
)

func TestMain(m *testing.M) { privatetest.Main(m, privatetest.NoLeaks) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
