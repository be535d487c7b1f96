// Package inflection stands in for the library of that name, of which GORM is the only
// user: it turns the names of models into those of tables. Here every model says its
// table's name itself, while the library compiles sixty regular expressions each time the
// program starts, which is a fifth of that time and half a megabyte of memory.
//
// The service's go.mod has it take the library's place.
package inflection

// Plural is for a model without a TableName.
func Plural(word string) string { panic(unnamed(word)) }

// Singular is for a relation between models.
func Singular(word string) string { panic(unnamed(word)) }

func unnamed(word string) string {
	return "inflection: " + word + " needs a name of its own: a TableName, or the tags of its relation"
}
