#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/files.h"

static char folder[] = "/tmp/sheaf-files-XXXXXX";

static void write_file(const char *name, const char *bytes)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    fputs(bytes, file);
    fclose(file);
}

static void remove_file(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    unlink(path);
}

static int set_up(void **state)
{
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    return rmdir(folder);
}

static void a_file_is_read_once_relative_to_the_folder(void **state)
{
    sheaf_files_t files;
    sheaf_file_t file, again;
    sheaf_fail_t fail;

    write_file("a", "content");
    sheaf_files_init(&files, folder);
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR("a"), &file, &fail), SHEAF_OK);
    assert_true(sheaf_str_eq(file.bytes, SHEAF_STR("content")));
    remove_file("a");
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR("a"), &again, &fail), SHEAF_OK);
    assert_ptr_equal(again.bytes.base, file.bytes.base);
    assert_int_equal(files.count, 1);
    sheaf_files_fini(&files);
}

static void what_is_no_file_is_refused(void **state)
{
    char path[256];
    sheaf_files_t files;
    sheaf_file_t file;
    sheaf_fail_t fail;

    snprintf(path, sizeof(path), "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    write_file("empty", "");
    sheaf_files_init(&files, folder);
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR("pipe"), &file, &fail), SHEAF_ERR_CONFIG);
    assert_string_equal(fail.detail, "cannot read pipe: it is not a file");
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR("."), &file, &fail), SHEAF_ERR_CONFIG);
    assert_string_equal(fail.detail, "cannot read .: it is not a file");
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR("empty"), &file, &fail), SHEAF_ERR_CONFIG);
    assert_string_equal(fail.detail, "cannot read empty: it is empty");
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR("none"), &file, &fail), SHEAF_ERR_CONFIG);
    assert_string_equal(fail.detail, "cannot read none: No such file or directory");
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR("/dev/zero"), &file, &fail), SHEAF_ERR_CONFIG);
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR(""), &file, &fail), SHEAF_ERR_CONFIG);
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR("a\0b"), &file, &fail), SHEAF_ERR_CONFIG);
    assert_int_equal(files.count, 0);
    sheaf_files_fini(&files);
    remove_file("pipe");
    remove_file("empty");
}

static void a_large_file_is_refused(void **state)
{
    char path[256];
    sheaf_files_t files;
    sheaf_file_t file;
    sheaf_fail_t fail;

    write_file("large", "x");
    snprintf(path, sizeof(path), "%s/large", folder);
    sheaf_files_init(&files, folder);
    assert_int_equal(truncate(path, SHEAF_FILE_MAX_BYTES + 1), 0);
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR("large"), &file, &fail), SHEAF_ERR_CONFIG);
    assert_string_equal(fail.detail, "cannot read large: it is larger than 4 MiB");
    assert_int_equal(truncate(path, SHEAF_FILE_MAX_BYTES), 0);
    assert_int_equal(sheaf_files_read(&files, SHEAF_STR("large"), &file, &fail), SHEAF_OK);
    sheaf_files_fini(&files);
    remove_file("large");
}

static void a_pack_brings_back_text_and_files(void **state)
{
    sheaf_files_t files, copy;
    sheaf_file_t file;
    sheaf_fail_t fail;
    sheaf_str_t text;
    char *pack;
    size_t len;

    write_file("a", "one");
    write_file("b", "two");
    sheaf_files_init(&files, folder);
    sheaf_files_read(&files, SHEAF_STR("a"), &file, &fail);
    sheaf_files_read(&files, SHEAF_STR("b"), &file, &fail);
    remove_file("a");
    remove_file("b");
    pack = sheaf_files_pack(&files, SHEAF_STR("listen: []\n"), &len);
    sheaf_files_fini(&files);

    assert_true(sheaf_files_unpack(sheaf_str(pack, len), &text, &copy));
    assert_true(sheaf_str_eq(text, SHEAF_STR("listen: []\n")));
    assert_int_equal(copy.count, 2);
    assert_int_equal(sheaf_files_read(&copy, SHEAF_STR("b"), &file, &fail), SHEAF_OK);
    assert_true(sheaf_str_eq(file.bytes, SHEAF_STR("two")));
    assert_int_equal(sheaf_files_read(&copy, SHEAF_STR("/etc/hostname"), &file, &fail), SHEAF_ERR_CONFIG);
    assert_string_equal(fail.detail, "/etc/hostname was not handed on");
    sheaf_files_fini(&copy);

    for (size_t cut = 0; cut < len; cut++) { /* at every byte: only whole pairs are a pack */
        if (!sheaf_files_unpack(sheaf_str(pack, cut), &text, &copy))
            continue;
        assert_true(copy.count < 2);
        sheaf_files_fini(&copy);
    }
    sheaf_files_pack_free(pack, len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_once_relative_to_the_folder),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_large_file_is_refused),
        cmocka_unit_test(a_pack_brings_back_text_and_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
