package postgres

import (
	"log/slog"
	"strings"
	"testing"

	"gorm.io/gorm"
)

// What GORM has in another order than we do is a defect, whose error is logged: without
// the titles that are among the variables.
func TestADefectiveStatementTellsNoTitle(t *testing.T) {
	db, err := Open(Config{URL: "postgres://127.0.0.1:1/none", MaxConns: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.text(statement{"defective", func(tx *gorm.DB) *gorm.DB { return tx.Raw("SELECT ?, ?", "private title", true) }, []any{true, "private title"}})
	if err == nil || strings.Contains(err.Error(), "private") || !strings.Contains(err.Error(), "defective") {
		t.Errorf("got %v", err)
	}
}
