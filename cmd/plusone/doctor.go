package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"plusone/cmd/internal/doctor"
)

type doctorCmd struct {
	doctor.Settings

	JSON bool `name:"json" help:"Report as JSON."`
}

// Run reports, and fails when something is wrong. Warnings are no failure.
func (c doctorCmd) Run(ctx context.Context, out io.Writer) error {
	if err := missing(c.Missing()); err != nil {
		return err
	}
	report, err := doctor.Examine(ctx, c.Settings, time.Now)
	if err == nil {
		err = c.show(out, report)
	}
	if err == nil && report.Wrong > 0 {
		err = fmt.Errorf("%d of %d checks found something wrong", report.Wrong, len(report.Findings))
	}
	return err
}

func (c doctorCmd) show(out io.Writer, report doctor.Report) error {
	if !c.JSON {
		return report.Write(out)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}
