"""Role-based access control: which rows and columns a role may write.

In force when the database has a table RBAC_Role and the session has a role.  Rows of RBAC_Role
map table names to rows of RBAC_Permission, whose `authorization` names the columns (or
column:key) that must hold the client's id; "" lets everybody in.
"""

from collections.abc import Iterable

from .atom import UUID_TYPE
from .error import OvsdbError
from .schema import Table
from .table import Row


class Permissions:
    """What one session may do; `tables` is {name: TableRows} of the database."""

    __slots__ = ("_tables", "_role", "_client_id")

    def __init__(self, tables: dict, role: str, client_id: str):
        self._tables = tables
        self._role = role
        self._client_id = client_id

    @property
    def _is_in_force(self) -> bool:
        return bool(self._role) and "RBAC_Role" in self._tables

    def _permission(self, table: Table) -> dict | None:
        roles = self._tables["RBAC_Role"]
        name_column = roles.schema.columns.get("name")
        column = roles.schema.columns.get("permissions")
        if (name_column is None or column is None or column.type.value is None
                or column.type.value.type != UUID_TYPE):
            return None
        rows = self._tables.get(column.type.value.ref_table or "RBAC_Permission")
        for role in roles.rows.values():
            if role[name_column.index] == (self._role,):
                uuid = dict(role[column.index]).get(table.name)
                row = rows.rows.get(uuid) if rows is not None and uuid else None
                if row is None:
                    return None
                return {c.name: row[c.index] for c in rows.schema.named_columns}
        return None

    def _authorizes(self, permission: dict, table: Table, row: Row) -> bool:
        for word in permission.get("authorization", ()):
            name, _, key = word.partition(":")
            if not name:
                return True
            column = table.columns.get(name)
            if column is None:
                continue
            value = row[column.index]
            if key:
                if column.type.is_map and dict(value).get(key) == self._client_id:
                    return True
            elif not column.type.is_map and value == (self._client_id,):
                return True
        return False

    def _refuse(self, what: str) -> OvsdbError:
        return OvsdbError("permission error", f'RBAC rules for client "{self._client_id}" role '
                                              f'"{self._role}" prohibit {what}.')

    def check_insert(self, table: Table, row: Row) -> None:
        """Raise OvsdbError unless `row` may be inserted."""
        self._check_rows(table, (row,), f'row insertion into table "{table.name}"')

    def check_delete(self, table: Table, rows: Iterable[Row]) -> None:
        """Raise OvsdbError unless all `rows` may be deleted."""
        self._check_rows(table, rows, f'row deletion from table "{table.name}"')

    def _check_rows(self, table: Table, rows: Iterable[Row], what: str) -> None:
        if not self._is_in_force:
            return
        permission = self._permission(table) if self._client_id else None
        if permission is None:
            raise self._refuse(what)            # Even if there are no rows.
        for row in rows:
            if (permission.get("insert_delete") != (True,)
                    or not self._authorizes(permission, table, row)):
                raise self._refuse(what)

    def check_update(self, table: Table, rows: Iterable[Row], columns: Iterable[str]) -> None:
        """Raise OvsdbError unless an "update" may change `columns` of all `rows`."""
        self._check_columns(table, rows, columns, f'modification of table "{table.name}"')

    def check_mutate(self, table: Table, rows: Iterable[Row], columns: Iterable[str]) -> None:
        """Raise OvsdbError unless a "mutate" may change `columns` of all `rows`."""
        self._check_columns(table, rows, columns, f'mutate operation on table "{table.name}"')

    def _check_columns(self, table: Table, rows: Iterable[Row], columns: Iterable[str],
                       what: str) -> None:
        if not self._is_in_force:
            return
        permission = self._permission(table) if self._client_id else None
        if permission is None:
            raise self._refuse(what)
        allowed = {word.partition(":")[0] for word in permission.get("update", ())}
        for row in rows:
            if (not self._authorizes(permission, table, row)
                    or not allowed.issuperset(columns)):
                raise self._refuse(what)
