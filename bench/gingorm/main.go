// Command gingorm is the first service to measure against: the routes of the benchmark on Gin and GORM, plainly
// written as the guides of the two write it, with their default settings. What differs from the defaults makes it
// faster: no access log (gin.New instead of gin.Default), no log of slow statements, no migration at start.
//
// DATABASE_URL and PORT configure it. DATABASE_MAX_CONNS bounds its pool, which then keeps what it has; without it the
// pool is database/sql's own: any number of connections, of which two stay open when idle.
package main

import (
	"encoding/base64"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Task is both the row and the answer.
type Task struct {
	ID        string    `json:"id" gorm:"type:uuid;primaryKey"`
	Title     string    `json:"title"`
	Completed bool      `json:"completed"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// BeforeCreate is GORM's hook.
func (t *Task) BeforeCreate(*gorm.DB) error {
	id, err := uuid.NewV7()
	t.ID = id.String()
	return err
}

type newTask struct {
	Title     string `json:"title" binding:"required,max=500"`
	Completed bool   `json:"completed"`
}

type allTask struct {
	Title     string `json:"title" binding:"required,max=500"`
	Completed *bool  `json:"completed" binding:"required"`
}

type listQuery struct {
	Limit int    `form:"limit,default=100" binding:"min=1,max=500"`
	After string `form:"after"`
}

func main() {
	db, err := open()
	if err != nil {
		log.Fatal(err)
	}
	gin.SetMode(gin.ReleaseMode)
	log.Fatal(routes(db).Run(net.JoinHostPort("127.0.0.1", os.Getenv("PORT"))))
}

func open() (*gorm.DB, error) {
	db, err := gorm.Open(postgres.Open(os.Getenv("DATABASE_URL")), &gorm.Config{
		Logger:  logger.Default.LogMode(logger.Error),
		NowFunc: func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }, // what PostgreSQL keeps
	})
	if err != nil {
		return nil, err
	}
	if bound := os.Getenv("DATABASE_MAX_CONNS"); bound != "" {
		n, err := strconv.Atoi(bound)
		if err != nil {
			return nil, err
		}
		pool, err := db.DB()
		if err != nil {
			return nil, err
		}
		pool.SetMaxOpenConns(n)
		pool.SetMaxIdleConns(n)
	}
	return db, nil
}

func routes(db *gorm.DB) *gin.Engine {
	r := gin.New()
	r.Use(gin.Recovery())
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "OK") })

	tasks := r.Group("/api/v1/tasks")
	tasks.GET("", func(c *gin.Context) {
		var query listQuery
		if err := c.ShouldBindQuery(&query); err != nil {
			refuse(c, http.StatusBadRequest, err.Error())
			return
		}
		page := db.WithContext(c).Order("id DESC").Limit(query.Limit)
		if query.After != "" {
			id, err := idOf(query.After)
			if err != nil {
				refuse(c, http.StatusBadRequest, err.Error())
				return
			}
			page = page.Where("id < ?", id)
		}
		found := []Task{}
		if err := page.Find(&found).Error; err != nil {
			fail(c, err)
			return
		}
		c.JSON(http.StatusOK, found)
	})
	tasks.POST("", func(c *gin.Context) {
		var body newTask
		if err := c.ShouldBindJSON(&body); err != nil {
			refuse(c, http.StatusBadRequest, err.Error())
			return
		}
		task := Task{Title: strings.TrimSpace(body.Title), Completed: body.Completed}
		if task.Title == "" {
			refuse(c, http.StatusBadRequest, "title must not be empty")
			return
		}
		if err := db.WithContext(c).Create(&task).Error; err != nil {
			fail(c, err)
			return
		}
		c.Header("Location", "/api/v1/tasks/"+task.ID)
		c.JSON(http.StatusCreated, task)
	})
	tasks.GET("/:id", func(c *gin.Context) {
		if task, ok := find(c, db); ok {
			c.JSON(http.StatusOK, task)
		}
	})
	// As GORM's guide updates: find, change, Save (https://gorm.io/docs/update.html#Save-All-Fields).
	tasks.PUT("/:id", func(c *gin.Context) {
		var body allTask
		if err := c.ShouldBindJSON(&body); err != nil {
			refuse(c, http.StatusBadRequest, err.Error())
			return
		}
		title := strings.TrimSpace(body.Title)
		if title == "" {
			refuse(c, http.StatusBadRequest, "title must not be empty")
			return
		}
		task, ok := find(c, db)
		if !ok {
			return
		}
		task.Title, task.Completed = title, *body.Completed
		if err := db.WithContext(c).Save(&task).Error; err != nil {
			fail(c, err)
			return
		}
		c.JSON(http.StatusOK, task)
	})
	return r
}

// idOf is the task that a cursor names, as the service writes cursors: a version and the id.
func idOf(cursor string) (uuid.UUID, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) != 17 || raw[0] != 1 {
		return uuid.UUID{}, errors.New("after must be a cursor")
	}
	return uuid.UUID(raw[1:]), nil
}

// find gives the task that the path names, or answers.
func find(c *gin.Context, db *gorm.DB) (task Task, ok bool) {
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		refuse(c, http.StatusBadRequest, "id must be a UUID")
		return task, false
	}
	if err := db.WithContext(c).Take(&task, "id = ?", id).Error; err != nil {
		fail(c, err)
		return task, false
	}
	return task, true
}

func fail(c *gin.Context, err error) {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		refuse(c, http.StatusNotFound, "no such task")
		return
	}
	log.Print(err)
	refuse(c, http.StatusInternalServerError, "internal error")
}

func refuse(c *gin.Context, status int, why string) { c.JSON(status, gin.H{"error": why}) }
