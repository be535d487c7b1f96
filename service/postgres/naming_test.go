package postgres

import (
	"log/slog"
	"testing"

	"gorm.io/gorm"
	gormschema "gorm.io/gorm/schema"
)

// person is of many others, and its table has no name of ours.
type person struct {
	ID      int
	Friends []person `gorm:"many2many:friends"`
}

// Names are given, and what stands in for the package that makes them must make none up.
func TestGORMMakesNoNames(t *testing.T) {
	db, err := Open(Config{URL: "postgres://127.0.0.1:1/none", MaxConns: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	parsed := gorm.Statement{DB: db.gorm}
	if err := parsed.Parse(&row{}); err != nil || parsed.Table != "tasks" {
		t.Errorf("the table of tasks is %q, %v", parsed.Table, err)
	}
	for name, ask := range map[string]func(){
		"a table of many":   func() { gormschema.NamingStrategy{}.TableName("person") },
		"a type of a table": func() { gormschema.NamingStrategy{}.SchemaName("people") },
		"a table that joins": func() {
			parsed := gorm.Statement{DB: db.gorm}
			t.Errorf("it joins %v, %v", parsed.Parse(&person{}), parsed.Schema.Relationships.Many2Many[0].JoinTable)
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("GORM named %s", name)
				}
			}()
			ask()
		}()
	}
}
