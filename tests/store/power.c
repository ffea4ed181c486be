/* The memory of a disk that forgets whatever was not synced.
 *
 * Preloaded into the store's process, this takes the place of fsync and
 * fdatasync. Each call notes what it would have made safe, in the directory
 * $TCND_TESTS_STORE_DISK: of a file its content, under its inode's number; of
 * a directory which name stands for which inode. Nothing else is noted, so
 * power.rs puts names and contents together and so has the state that a power cut
 * leaves in the worst case. Every note replaces its predecessor by rename, so
 * the cut may come at any time. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void must(int good) {
    if (!good) abort();
}

static void note_content(int fd, FILE *note) {
    char block[65536];
    off_t at = 0;
    for (ssize_t got; (got = pread(fd, block, sizeof block, at)) != 0; at += got)
        must(got > 0 && fwrite(block, 1, got, note) == (size_t)got);
}

static void note_names(int fd, FILE *note) {
    DIR *names = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY));
    must(names != NULL);
    for (struct dirent *entry; (entry = readdir(names)) != NULL;)
        if (entry->d_type == DT_REG)
            fprintf(note, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
    closedir(names);
}

static int note(int fd) {
    const char *disk = getenv("TCND_TESTS_STORE_DISK");
    struct stat what;
    must(disk != NULL && fstat(fd, &what) == 0);
    char path[4000], fresh[4096];
    int is_directory = S_ISDIR(what.st_mode);
    if (is_directory)
        snprintf(path, sizeof path, "%s/names", disk);
    else
        snprintf(path, sizeof path, "%s/%lu", disk, (unsigned long)what.st_ino);
    snprintf(fresh, sizeof fresh, "%s.fresh", path);
    FILE *out = fopen(fresh, "w");
    must(out != NULL);
    (is_directory ? note_names : note_content)(fd, out);
    must(fclose(out) == 0 && rename(fresh, path) == 0);
    return 0;
}

int fsync(int fd) { return note(fd); }
int fdatasync(int fd) { return note(fd); }
