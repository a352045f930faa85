/* tests/plugins/rogue/empty.c - a shared object that is no plugin. */
int sheaf_no_plugin(void);

int sheaf_no_plugin(void)
{
    return 0;
}
