module example.com/todo/rehearsal

go 1.26
