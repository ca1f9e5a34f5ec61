// DescribeGroups and ListGroups: what admin clients show of consumer groups.
import { responseTo, type Api } from "../api.ts";
import { ErrorCode } from "../errors.ts";

/** DescribeGroups, versions 0 to 2. A group nobody uses is "Dead", as with Kafka. */
export const describeGroupsApi: Api = {
  key: 15,
  versionMin: 0,
  versionMax: 2,
  handle(request, state) {
    const { version, body } = request;
    // Each once: an id is short, its members are many.
    const groupIds = [...new Set(body.array((reader) => reader.string()))];

    const response = responseTo(request);
    if (version >= 1) response.int32(0); // throttle time
    return response.array(groupIds, (out, groupId) => {
      const group = state.groups.find(groupId)?.describe();
      out
        .int16(ErrorCode.NONE)
        .string(groupId)
        .string(group?.state ?? "Dead");
      out.string(group?.protocolType ?? "").string(group?.protocol ?? "");
      out.array(group?.members ?? [], (out, member) => {
        out.string(member.memberId).string(member.clientId).string(member.clientAddress);
        out.bytes(member.metadata).bytes(member.assignment);
      });
    });
  },
};

/** ListGroups, versions 0 to 2. */
export const listGroupsApi: Api = {
  key: 16,
  versionMin: 0,
  versionMax: 2,
  handle(request, state) {
    const response = responseTo(request);
    if (request.version >= 1) response.int32(0); // throttle time
    response.int16(ErrorCode.NONE);
    return response.array(state.groups.list(), (out, { groupId, group }) => {
      out.string(groupId).string(group.protocolType);
    });
  },
};
